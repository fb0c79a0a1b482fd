# Turns SQL files into C: run as
#   cmake -DOUT_C=… -DOUT_H=… -DQUERIES=queries.sql -DMIGRATIONS="0001_x.sql;…" -P EmbedSql.cmake
# In QUERIES each query follows a line "-- name: NAME"; other comments are dropped.

# A file's text as a C string literal, one line of SQL a line.
function(c_literal text out)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n    \"" text "${text}")
  set(${out} "\"${text}\"" PARENT_SCOPE)
endfunction()

set(enum "")
set(names "")
set(texts "")
file(READ "${QUERIES}" rest)
string(FIND "${rest}" "-- name: " at)
while(NOT at EQUAL -1)
  string(SUBSTRING "${rest}" ${at} -1 rest)
  string(FIND "${rest}" "\n" end)
  string(SUBSTRING "${rest}" 9 -1 name)
  string(REGEX REPLACE "\n.*" "" name "${name}")
  string(SUBSTRING "${rest}" ${end} -1 rest)
  string(FIND "${rest}" "-- name: " at)
  string(SUBSTRING "${rest}" 0 ${at} sql)
  string(REGEX REPLACE "--[^\n]*" "" sql "${sql}")
  string(STRIP "${sql}" sql)
  string(TOUPPER "${name}" upper)
  string(APPEND enum "    QUERY_${upper},\n")
  c_literal("${sql}" literal)
  string(APPEND texts "    [QUERY_${upper}] = ${literal},\n")
endwhile()

set(migrations "")
foreach(file IN LISTS MIGRATIONS)
  get_filename_component(stem "${file}" NAME_WE)
  string(REGEX MATCH "^[0-9]+" number "${stem}")
  math(EXPR number "${number}")
  file(READ "${file}" sql)
  c_literal("${sql}" literal)
  string(APPEND migrations "    {${number}, \"${stem}\", ${literal}},\n")
endforeach()

file(WRITE "${OUT_H}.new" "/* Made from the .sql files by cmake/EmbedSql.cmake. */
#ifndef ENGINE_SQLITE_SQL_H
#define ENGINE_SQLITE_SQL_H

#include <stddef.h>

enum query {
${enum}    QUERY_COUNT
};

struct migration {
    int number;
    const char *name;
    const char *sql;
};

extern const char *const query_sql[QUERY_COUNT];
extern const struct migration migrations[];
extern const size_t migration_count;

#endif
")
file(WRITE "${OUT_C}" "/* Made from the .sql files by cmake/EmbedSql.cmake. */
#include \"sql.h\"

/* ISO C need not take string literals of more than 4095 bytes; gcc and clang do. */
#pragma GCC diagnostic ignored \"-Woverlength-strings\"

const char *const query_sql[QUERY_COUNT] = {
${texts}};

const struct migration migrations[] = {
${migrations}};
const size_t migration_count = sizeof migrations / sizeof migrations[0];
")
file(COPY_FILE "${OUT_H}.new" "${OUT_H}" ONLY_IF_DIFFERENT)
