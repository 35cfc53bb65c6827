/* model_source.c -- see model_source.h.
 *
 * The cache is laid out as huggingface_hub has it: models--ORG--NAME with
 * refs/main (a revision) and snapshots/REVISION (links to files); its place
 * follows HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME. */
#include "model/model_source.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include "model/base/alloc.h"
#include "model/base/buf.h"
#include "model/weights/gguf.h"

#define MAX_ENTRIES 65536u /* of a directory that are looked at */
#define SPLIT_TAIL "-00001-of-00002"

/* What of a directory matters here. */
struct listing {
    char **names; /* [n], owned: GGUF files, one of each model */
    uint32_t n, cap;
    bool safetensors, config;
    bool broken; /* a link leads nowhere */
};

/* ---- names --------------------------------------------------------------- */

size_t model_source_stem(const char *name)
{
    size_t n = strlen(name), tail = sizeof SPLIT_TAIL - 1;
    if (n > 5 && strcasecmp(name + n - 5, ".gguf") == 0)
        n -= 5;
    if (n <= tail)
        return n;
    const char *p = name + n - tail;
    for (size_t i = 0; i < tail; i++) {
        bool digit = isdigit((unsigned char)SPLIT_TAIL[i]);
        if (digit ? !isdigit((unsigned char)p[i]) : p[i] != SPLIT_TAIL[i])
            return n;
    }
    return n - tail;
}

/* The same but for the number of the part. */
static bool same_model(const char *a, const char *b)
{
    size_t n = model_source_stem(a), number = sizeof "-00001" - 1;
    return n == model_source_stem(b) && memcmp(a, b, n) == 0 && a[n] == '-' &&
           b[n] == '-' && strcmp(a + n + number, b + n + number) == 0;
}

static void listing_deinit(struct listing *l)
{
    for (uint32_t i = 0; i < l->n; i++)
        mem_free(l->names[i]);
    mem_free(l->names);
    *l = (struct listing){0};
}

static int listing_add(struct listing *l, const char *name, struct err *err)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (same_model(l->names[i], name))
            return 0; /* another part opens as well */
    if (l->n == l->cap) {
        uint32_t cap = 2 * l->cap + 8;
        char **grown = mem_realloc_array(l->names, cap, sizeof *grown);
        if (grown == NULL)
            return err_nomem(err, "a list of files");
        l->names = grown;
        l->cap = cap;
    }
    char *copy = mem_strdup(name);
    if (copy == NULL)
        return err_nomem(err, "a list of files");
    l->names[l->n++] = copy;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* True when `name` says it is quantised so: "model-Q4_K_M.gguf". */
static bool has_quant(const char *name, const char *quant)
{
    size_t n = strlen(quant), end = model_source_stem(name);
    for (size_t i = 0; n > 0 && i + n <= end; i++) {
        bool starts = i == 0 || !isalnum((unsigned char)name[i - 1]);
        bool ends = i + n == end || name[i + n] == '-' || name[i + n] == '.';
        if (starts && ends && strncasecmp(name + i, quant, n) == 0)
            return true;
    }
    return false;
}

/* ---- directories --------------------------------------------------------- */

static int join(char **out, const char *dir, const char *name, struct err *err)
{
    struct buf b = {0};
    size_t n = strlen(dir);
    buf_printf(&b, "%s%s%s", dir, n > 0 && dir[n - 1] == '/' ? "" : "/", name);
    *out = buf_take(&b, NULL);
    return *out != NULL ? 0 : err_nomem(err, "a path");
}

static bool ends_with(const char *name, const char *tail)
{
    size_t n = strlen(name), m = strlen(tail);
    return n >= m && strcasecmp(name + n - m, tail) == 0;
}

/* Notes one entry; a projector for images is no model. */
static int note(const char *dir, const char *name, struct listing *found,
                struct err *err)
{
    struct stat st;
    char *path;
    if (name[0] == '.')
        return 0;
    int rc = join(&path, dir, name, err);
    if (rc != 0)
        return rc;
    if (stat(path, &st) != 0) {
        found->broken |= lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    } else if (S_ISREG(st.st_mode)) {
        if (ends_with(name, ".safetensors") ||
            ends_with(name, ".safetensors.index.json"))
            found->safetensors = true;
        else if (strcmp(name, "config.json") == 0)
            found->config = true;
        else if (strncmp(name, "mmproj", 6) != 0 && gguf_is_file(path))
            rc = listing_add(found, name, err);
    }
    mem_free(path);
    return rc;
}

static int list_dir(const char *dir, struct listing *found, struct err *err)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return err_errno(err, "open", dir);
    int rc = 0;
    const struct dirent *e;
    for (uint32_t i = 0; rc == 0 && i < MAX_ENTRIES && (e = readdir(d)); i++)
        rc = note(dir, e->d_name, found, err);
    closedir(d);
    if (rc == 0 && found->n > 1)
        qsort(found->names, found->n, sizeof *found->names, by_name);
    return rc;
}

static int refuse_several(const struct listing *l, const char *dir,
                          const char *quant, struct err *err)
{
    struct buf b;
    buf_init(&b, 300);
    for (uint32_t i = 0; i < l->n && b.len < 200; i++)
        buf_printf(&b, "%s%.90s", i > 0 ? ", " : "", l->names[i]);
    if (l->n > 0 && b.len >= 200)
        buf_puts(&b, ", ...");
    int rc;
    if (quant != NULL)
        rc = err_set(err, ERR_NOT_FOUND,
                     "%.160s holds no GGUF file of %.20s, but %s", dir, quant,
                     l->n > 0 ? buf_str(&b) : "none at all");
    else
        rc = err_set(err, ERR_INVALID,
                     "%.160s holds %u GGUF models, name one of them: %s", dir,
                     (unsigned)l->n, buf_str(&b));
    buf_deinit(&b);
    return rc;
}

/* The name that is meant, or NULL.  `defaults`: the repository's user named no
 * quantisation and gets the usual one. */
static const char *choose(const struct listing *l, const char *quant,
                          bool defaults)
{
    static const char *const usual[] = {"Q4_K_M", "Q4_0", "Q8_0"};
    if (quant == NULL && l->n == 1)
        return l->names[0];
    for (size_t k = 0; k < 3 && (quant != NULL || defaults); k++) {
        for (uint32_t i = 0; i < l->n; i++)
            if (has_quant(l->names[i], quant != NULL ? quant : usual[k]))
                return l->names[i];
    }
    return NULL;
}

/* What the directory means; a checkpoint that lacks its weights is left to its
 * own loader, which names what is missing. */
static int in_directory(struct model_source *src, const char *dir,
                        const char *quant, bool defaults, struct err *err)
{
    struct listing found = {0};
    int rc = list_dir(dir, &found, err);
    const char *name = choose(&found, quant, defaults);
    if (rc == 0 && found.n == 0 && !found.safetensors && !found.config) {
        rc = err_set(err, ERR_NOT_FOUND,
                     "there is neither a GGUF file nor a config.json with "
                     "safetensors in %.200s%s",
                     dir, found.broken ? ", and links in it lead nowhere" : "");
    } else if (rc == 0 && quant == NULL &&
               (found.safetensors || found.n == 0)) {
        src->path = mem_strdup(dir);
        rc = src->path != NULL ? 0 : err_nomem(err, "a path");
    } else if (rc == 0 && name != NULL) {
        src->gguf = true;
        rc = join(&src->path, dir, name, err);
    } else if (rc == 0) {
        rc = refuse_several(&found, dir, quant, err);
    }
    listing_deinit(&found);
    return rc;
}

/* ---- the cache of Hugging Face ------------------------------------------- */

#define MAX_PLACES 4u

/* ORG/NAME[:QUANT] in pieces. */
struct repository {
    char folder[256];         /* models--ORG--NAME */
    char id[256];             /* ORG/NAME */
    char quant[64];           /* "" */
    char *places[MAX_PLACES]; /* [n_places], owned: where caches may be */
    uint32_t n_places;
};

static bool is_id_char(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

static bool parse_id(struct repository *r, const char *word)
{
    size_t org = 0, name = 0;
    while (is_id_char(word[org]))
        org++;
    if (org == 0 || word[org] != '/' || word[0] == '.')
        return false;
    const char *second = word + org + 1;
    while (is_id_char(second[name]))
        name++;
    const char *rest = second + name;
    if (name == 0 || second[0] == '.' || org + name > 200 ||
        (*rest != '\0' && *rest != ':') || strlen(rest) >= sizeof r->quant)
        return false;
    for (const char *c = rest; *c != '\0'; c++)
        if (c != rest && !is_id_char(*c))
            return false;
    snprintf(r->folder, sizeof r->folder, "models--%.*s--%.*s", (int)org, word,
             (int)name, second);
    snprintf(r->id, sizeof r->id, "%.*s/%.*s", (int)org, word, (int)name,
             second);
    snprintf(r->quant, sizeof r->quant, "%s", *rest == ':' ? rest + 1 : "");
    return true;
}

static int add_place(struct repository *r, const char *variable,
                     const char *below, struct err *err)
{
    const char *root = getenv(variable);
    if (root == NULL || root[0] == '\0')
        return 0;
    int rc =
        below[0] == '\0' ? 0 : join(&r->places[r->n_places], root, below, err);
    if (below[0] == '\0' && (r->places[r->n_places] = mem_strdup(root)) == NULL)
        rc = err_nomem(err, "a path");
    if (rc == 0)
        r->n_places++;
    return rc;
}

static int find_places(struct repository *r, struct err *err)
{
    int rc = add_place(r, "HF_HUB_CACHE", "", err);
    if (rc == 0)
        rc = add_place(r, "HF_HOME", "hub", err);
    if (rc == 0)
        rc = add_place(r, "XDG_CACHE_HOME", "huggingface/hub", err);
    if (rc == 0)
        rc = add_place(r, "HOME", ".cache/huggingface/hub", err);
    return rc;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The revision in refs/main: 1, or 0 when there is none to believe. */
static int read_main(const char *repo, char rev[65], struct err *err)
{
    char *path;
    int rc = join(&path, repo, "refs/main", err);
    if (rc != 0)
        return rc;
    FILE *f = fopen(path, "r");
    mem_free(path);
    if (f == NULL)
        return 0;
    size_t n = fread(rev, 1, 64, f);
    fclose(f);
    while (n > 0 && isspace((unsigned char)rev[n - 1]))
        n--;
    rev[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (!is_id_char(rev[i]))
            return 0;
    return n > 0 && rev[0] != '.';
}

/* The snapshot changed last; *out stays NULL when there is none. */
static int newest(const char *snapshots, char **out, struct err *err)
{
    DIR *d = opendir(snapshots);
    time_t best = 0;
    const struct dirent *e;
    int rc = 0;
    if (d == NULL)
        return 0;
    for (uint32_t i = 0; rc == 0 && i < MAX_ENTRIES && (e = readdir(d)); i++) {
        struct stat st;
        char *path;
        if (e->d_name[0] == '.')
            continue;
        rc = join(&path, snapshots, e->d_name, err);
        if (rc != 0)
            break;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
            (*out == NULL || st.st_mtime > best)) {
            best = st.st_mtime;
            mem_free(*out);
            *out = path;
        } else {
            mem_free(path);
        }
    }
    closedir(d);
    return rc;
}

/* The snapshot to use of the repository in `repo`; NULL: none is there. */
static int find_snapshot(const char *repo, char **out, struct err *err)
{
    char rev[65], *snapshots;
    int rc = join(&snapshots, repo, "snapshots", err);
    if (rc != 0)
        return rc;
    rc = read_main(repo, rev, err);
    if (rc == 1) {
        rc = join(out, snapshots, rev, err);
        if (rc == 0 && !is_dir(*out)) {
            mem_free(*out);
            *out = NULL;
        }
    }
    if (rc == 0 && *out == NULL)
        rc = newest(snapshots, out, err);
    mem_free(snapshots);
    return rc;
}

static int not_cached(const struct repository *r, struct err *err)
{
    struct buf b;
    buf_init(&b, 300);
    for (uint32_t i = 0; i < r->n_places; i++)
        buf_printf(&b, "%s%.120s", i > 0 ? ", " : "", r->places[i]);
    int rc = err_set(err, ERR_NOT_FOUND,
                     "there is no such file or directory, and no repository "
                     "%s in the Hugging Face cache (looked in %s); to download "
                     "it: hf download %s",
                     r->id,
                     r->n_places > 0 ? buf_str(&b)
                                     : "no place: HOME "
                                       "is not set",
                     r->id);
    buf_deinit(&b);
    return rc;
}

static int search_places(struct model_source *src, const struct repository *r,
                         struct err *err)
{
    for (uint32_t i = 0; i < r->n_places; i++) {
        char *repo, *snapshot = NULL;
        int rc = join(&repo, r->places[i], r->folder, err);
        if (rc == 0)
            rc = find_snapshot(repo, &snapshot, err);
        mem_free(repo);
        bool found = rc == 0 && snapshot != NULL;
        if (found)
            rc = in_directory(src, snapshot,
                              r->quant[0] != '\0' ? r->quant : NULL, true, err);
        mem_free(snapshot);
        if (found || rc != 0)
            return rc;
    }
    return not_cached(r, err);
}

static int in_cache(struct model_source *src, const char *word, struct err *err)
{
    struct repository r = {0};
    if (!parse_id(&r, word))
        return err_set(err, ERR_NOT_FOUND,
                       "there is no such file or directory, and the name is "
                       "none of a repository, such as LiquidAI/LFM2-8B-A1B");
    int rc = find_places(&r, err);
    if (rc == 0)
        rc = search_places(src, &r, err);
    for (uint32_t i = 0; i < MAX_PLACES; i++)
        mem_free(r.places[i]);
    return rc;
}

/* ---- the whole ----------------------------------------------------------- */

static int in_file(struct model_source *src, const char *path,
                   const struct stat *st, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, ERR_FORMAT, "it is neither a file nor a directory");
    if (st->st_size == 0)
        return err_set(err, ERR_FORMAT, "the file is empty");
    if (ends_with(path, ".safetensors"))
        return err_set(err, ERR_FORMAT,
                       "it is one file of a checkpoint, "
                       "expected the directory that holds it");
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return err_errno(err, "open", path);
    fclose(f);
    if (!gguf_is_file(path))
        return err_set(err, ERR_FORMAT,
                       "the file does not begin with \"GGUF\", "
                       "expected a GGUF file or a directory");
    src->gguf = true;
    src->path = mem_strdup(path);
    return src->path != NULL ? 0 : err_nomem(err, "a path");
}

int model_source_find(struct model_source *src, const char *word,
                      struct err *err)
{
    struct stat st;
    int rc;
    *src = (struct model_source){0};
    if (stat(word, &st) == 0)
        rc = S_ISDIR(st.st_mode) ? in_directory(src, word, NULL, false, err)
                                 : in_file(src, word, &st, err);
    else if (errno == ENOENT || errno == ENOTDIR)
        rc = in_cache(src, word, err);
    else
        rc = err_errno(err, "open", word);
    if (rc != 0)
        model_source_deinit(src);
    return rc;
}

void model_source_deinit(struct model_source *src)
{
    mem_free(src->path);
    *src = (struct model_source){0};
}
