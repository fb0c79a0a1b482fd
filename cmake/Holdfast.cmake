# How every target of the project is built, and the rule that layers link only downwards.

add_library(holdfast_flags INTERFACE)
target_compile_options(holdfast_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wformat=2 -Wundef -Werror -fno-common -fstack-protector-strong)
# Assertions stay in every build: stopping is better than going on with a broken invariant.
target_compile_options(holdfast_flags INTERFACE -UNDEBUG)
# Messages for people are cut to their buffers on purpose.
target_compile_options(holdfast_flags INTERFACE $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
target_compile_definitions(holdfast_flags INTERFACE _GNU_SOURCE HOLDFAST_VERSION="${PROJECT_VERSION}")
target_include_directories(holdfast_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)

# The layers, lowest first. A library may link libraries of lower layers only.
set(HOLDFAST_LAYERS base object store wire engine tree edge tool)

# holdfast_library(NAME LAYER layer SOURCES file... [LINKS target...] [USES imported target...])
#   LINKS names libraries of this project and is checked against the layers; USES names others' libraries.
function(holdfast_library name)
  cmake_parse_arguments(ARG "" "LAYER" "SOURCES;LINKS;USES" ${ARGN})
  list(FIND HOLDFAST_LAYERS "${ARG_LAYER}" level)
  if(level EQUAL -1)
    message(FATAL_ERROR "${name}: unknown layer '${ARG_LAYER}'")
  endif()
  add_library(${name} STATIC ${ARG_SOURCES})
  set_property(TARGET ${name} PROPERTY HOLDFAST_LEVEL ${level})
  foreach(link IN LISTS ARG_LINKS)
    get_property(below TARGET ${link} PROPERTY HOLDFAST_LEVEL)
    if("${below}" STREQUAL "" OR below GREATER level OR (below EQUAL level AND NOT ARG_LAYER STREQUAL "engine"))
      message(FATAL_ERROR "${name} (layer ${ARG_LAYER}) must not link ${link}: layers link only downwards")
    endif()
  endforeach()
  target_link_libraries(${name} PUBLIC ${ARG_LINKS} PRIVATE holdfast_flags ${ARG_USES} Threads::Threads)
endfunction()
