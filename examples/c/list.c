/* Prints every component of the library, one "kind name" to a line, and with a kind and a name as
 * arguments its description as JSON:
 *
 *   list
 *   list sampler ula
 *
 * Exit status: 0 done, 1 the library reported an error, 2 wrong arguments. README.md says how to
 * build it. */
#include <retrograde.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  int32_t kind;
  const char *word;
} kinds[] = {
    {RG_KIND_TARGET, "target"},
    {RG_KIND_PROCESS, "process"},
    {RG_KIND_SCORE, "score"},
    {RG_KIND_SAMPLER, "sampler"},
};
static const size_t n_kinds = sizeof kinds / sizeof kinds[0];

/* Says on stderr what a call left in *err, and frees it. Returns the call's status. */
static rg_status report(rg_status status, rg_error **err) {
  if (status != RG_OK) {
    fprintf(stderr, "list: %s (%s)\n", rg_error_detail(*err), rg_status_name(status));
    rg_error_free(*err);
    *err = NULL;
  }
  return status;
}

static rg_status print_names(const rg_context *cx, size_t k, rg_error **err) {
  size_t n = 0;
  rg_status status = rg_context_count(cx, kinds[k].kind, &n, err);
  for (size_t i = 0; status == RG_OK && i < n; i++) {
    char name[128];
    status = rg_context_name(cx, kinds[k].kind, i, name, sizeof name, NULL, err);
    if (status == RG_OK) printf("%s %s\n", kinds[k].word, name);
  }
  return status;
}

/* A description can be long: the first call asks for the size, the second fills the buffer. */
static rg_status print_description(const rg_context *cx, int32_t kind, const char *name,
                                   rg_error **err) {
  size_t need = 0;
  rg_status status = rg_context_describe(cx, kind, name, NULL, 0, &need, err);
  if (status != RG_OK) return status;
  char *json = malloc(need);
  if (json == NULL) {
    fprintf(stderr, "list: no memory for %zu bytes\n", need);
    exit(1);
  }
  status = rg_context_describe(cx, kind, name, json, need, NULL, err);
  if (status == RG_OK) puts(json);
  free(json);
  return status;
}

int main(int argc, char **argv) {
  size_t chosen = 0;
  if (argc == 3)
    while (chosen < n_kinds && strcmp(argv[1], kinds[chosen].word) != 0) chosen++;
  if ((argc != 1 && argc != 3) || chosen == n_kinds) {
    fputs("usage: list [target|process|score|sampler NAME]\n", stderr);
    return 2;
  }

  char why[256];
  if (rg_check_abi(RG_ABI, RG_ABI_MINOR, why, sizeof why) != RG_OK) {
    fprintf(stderr, "list: %s\n", why);
    return 1;
  }

  rg_error *err = NULL;
  rg_context *cx = NULL;
  rg_status status = report(rg_context_new(&cx, &err), &err);
  if (status == RG_OK && argc == 3)
    status = report(print_description(cx, kinds[chosen].kind, argv[2], &err), &err);
  else
    for (size_t k = 0; status == RG_OK && k < n_kinds; k++)
      status = report(print_names(cx, k, &err), &err);
  rg_context_free(cx);
  return status == RG_OK ? 0 : 1;
}
