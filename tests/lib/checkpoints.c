/* checkpoints.c -- see checkpoints.h. */
#include "tests/lib/checkpoints.h"

#include <dirent.h>
#include <unistd.h>

#include "tests/lib/test.h"

#define CHECKPOINTS "tests/oracle/checkpoints"

void each_checkpoint(checkpoint_fn *fn, void *user)
{
    DIR *dir = opendir(CHECKPOINTS);
    assert_non_null(dir);
    uint32_t n_seen = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char path[512], golden[600];
        snprintf(path, sizeof path, CHECKPOINTS "/%s", entry->d_name);
        snprintf(golden, sizeof golden, "%s/golden.json", path);
        if (access(golden, R_OK) == 0)
            fn(user, path, golden, n_seen++);
    }
    closedir(dir);
    assert_true(n_seen >= 10);
}
