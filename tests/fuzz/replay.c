/* SPDX-License-Identifier: Apache-2.0 */
/* Gives each file of a corpus to a fuzz target once, so that every build checks what was found before. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *folder, const char *name)
{
    uint8_t *data = malloc(INPUT_MAX), *fitted;
    char path[4096];
    FILE *file;
    size_t size;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "re");
    if (!file || !data) {
        perror(path);
        free(data);
        return 1;
    }
    size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    /* A block of its own size, so that a sanitizer sees a read past the end. */
    fitted = realloc(data, size ? size : 1);
    if (!fitted)
        return 1;
    LLVMFuzzerTestOneInput(fitted, size);
    free(fitted);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    int files = 0, failures = 0;

    if (!dir) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        failures += replay_file(argv[1], entry->d_name);
        files++;
    }
    closedir(dir);
    printf("%d inputs\n", files);
    return failures > 0 || files == 0;
}
