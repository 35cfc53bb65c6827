/* replay.c -- runs a fuzz target over files, so that every compiler can.
 *
 *     replay_<target> FILE...
 *
 * Each file once as it is, and once cut at its middle: truncation is the most
 * common damage.  A crash names the file, since it is printed first. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return -1;
    size_t cap = (size_t)1 << 20;
    uint8_t *data = malloc(cap);
    size_t n = data ? fread(data, 1, cap, f) : 0;
    fclose(f);
    if (data == NULL)
        return -1;
    LLVMFuzzerTestOneInput(data, n);
    uint8_t *half = malloc(n / 2 + 1);
    if (half != NULL) {
        for (size_t i = 0; i < n / 2; i++)
            half[i] = data[i];
        LLVMFuzzerTestOneInput(half, n / 2);
    }
    free(half);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        fprintf(stderr, "%s\n", argv[i]);
        if (replay(argv[i]) != 0) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
    }
    printf("%d passed, 0 failed\n", argc - 1);
    return 0;
}
