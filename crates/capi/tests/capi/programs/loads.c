/* Loads plugins and evaluates the target of the first: `loads double-well.so OTHER...`. Prints the components that
 * come from plugins, and the log density of the double well at 1 and at 0: on a well, and on the wall between. */
#include <retrograde.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  static const char *const kinds[] = {"target", "process", "score", "sampler"};
  static const int32_t numbers[] = {RG_KIND_TARGET, RG_KIND_PROCESS, RG_KIND_SCORE, RG_KIND_SAMPLER};
  const double x[2] = {1.0, 0.0};
  double logp[2];
  rg_error *err = NULL;
  rg_context *cx = NULL;
  rg_target *well = NULL;
  int failed = rg_context_new(&cx, &err) != RG_OK;
  for (int i = 1; !failed && i < argc; i++) failed = rg_context_load_plugin(cx, argv[i], &err) != RG_OK;
  for (size_t k = 0; !failed && k < 4; k++) {
    size_t n = 0;
    failed = rg_context_count(cx, numbers[k], &n, &err) != RG_OK;
    for (size_t i = 0; !failed && i < n; i++) {
      char name[128];
      failed = rg_context_name(cx, numbers[k], i, name, sizeof name, NULL, &err) != RG_OK;
      if (!failed && strchr(name, '/') != NULL) printf("%s %s\n", kinds[k], name);
    }
  }
  failed = failed || rg_target_new(cx, "wells/double-well", "dim = 1", &well, &err) != RG_OK ||
           rg_target_eval(well, 2, 1, x, 0, logp, NULL, 0, &err) != RG_OK;
  if (failed)
    fprintf(stderr, "loads: %s\n", rg_error_detail(err));
  else
    printf("%g %g\n", logp[0], logp[1]);
  rg_error_free(err);
  rg_target_free(well);
  rg_context_free(cx);
  return failed;
}
