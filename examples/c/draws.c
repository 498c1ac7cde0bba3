/* Draws of a job, a row each on standard output:
 *
 *   draws JOB.toml SEED N
 *
 * Exit status: 0 done, 1 the library reported an error, 2 wrong arguments. */
#include <retrograde.h>
#include <stdio.h>
#include <stdlib.h>

static char *slurp(const char *path) {
  FILE *file = fopen(path, "rb");
  char *text = calloc(1, 65536);
  if (file == NULL || text == NULL || fread(text, 1, 65535, file) == 0) exit(2);
  fclose(file);
  return text;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  char *job = slurp(argv[1]);
  rg_context *cx = NULL;
  rg_sampler *sampler = NULL;
  rg_result *result = NULL;
  rg_error *err = NULL;
  double *draws = NULL;
  size_t n = 0, d = 0;
  rg_run_options options = RG_RUN_OPTIONS_INIT;
  options.seed = strtoull(argv[2], NULL, 10);
  options.n_draws = strtoull(argv[3], NULL, 10);

  rg_status status = rg_context_new(&cx, &err);
  if (status == RG_OK) status = rg_sampler_from_toml(cx, job, NULL, &sampler, &err);
  if (status == RG_OK) status = rg_sampler_run(sampler, &options, &result, &err);
  if (status == RG_OK) status = rg_result_shape(result, NULL, &n, &d, NULL, NULL, &err);
  if (status == RG_OK && (draws = malloc(n * d * sizeof *draws)) == NULL) exit(2);
  if (status == RG_OK) status = rg_result_draws(result, draws, 0, n * d, &err);
  if (status != RG_OK) fprintf(stderr, "draws: %s (%s)\n", rg_error_detail(err), rg_status_name(status));
  for (size_t i = 0; status == RG_OK && i < n; i++)
    for (size_t j = 0; j < d; j++) printf("%.17g%c", draws[i * d + j], j + 1 < d ? ' ' : '\n');

  free(draws);
  free(job);
  rg_error_free(err);
  rg_result_free(result);
  rg_sampler_free(sampler);
  rg_context_free(cx);
  return status != RG_OK;
}
