/* Faults that a program can make with the library, for sanitizers to find: `faults twice|overrun|leak|overflow`, and
 * `faults none`, which makes none. */
#include <retrograde.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  int overflow;
} bowl;

static rg_status batch(void *user, size_t n, size_t d, const double *x, double *logp, double *grad) {
  bowl *b = user;
  b->overflow += b->overflow != 0;
  for (size_t i = 0; i < n; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++) {
      sum -= 0.5 * x[i * d + j] * x[i * d + j];
      if (grad != NULL) grad[i * d + j] = -x[i * d + j];
    }
    if (logp != NULL) logp[i] = sum;
  }
  return RG_OK;
}

static int failed(const rg_error *err) {
  fprintf(stderr, "faults: %s\n", rg_error_detail(err));
  return 2;
}

int main(int argc, char **argv) {
  const char *fault = argc == 2 ? argv[1] : "";
  rg_run_options options = RG_RUN_OPTIONS_INIT;
  rg_context *cx = NULL;
  rg_target *target = NULL;
  rg_sampler *sampler = NULL;
  rg_result *result = NULL;
  rg_error *err = NULL;
  bowl *user = malloc(sizeof *user);
  double *draws = malloc(200 * sizeof *draws);
  if (user == NULL || draws == NULL) return 2;
  user->overflow = strcmp(fault, "overflow") == 0 ? INT_MAX : 0;
  options.n_draws = strcmp(fault, "overrun") == 0 ? 101 : 100;

  const int runs = strcmp(fault, "leak") == 0 ? 4 : 1; /* An old register may still know one of them. */

  /* The library frees what is the program's once nothing uses it. */
  if (rg_context_new(&cx, &err) != RG_OK ||
      rg_target_from_batch(cx, 2, batch, user, free, RG_CAP_GRADIENT, RG_THREAD_CALLER, &target, &err) != RG_OK ||
      rg_sampler_new(cx, "ula", "chains = 1\nwarmup = 0", target, NULL, NULL, &sampler, &err) != RG_OK)
    return failed(err);
  for (int i = 0; i < runs; i++)
    if (rg_sampler_run(sampler, &options, &result, &err) != RG_OK ||
        rg_result_draws(result, draws, 0, 2 * options.n_draws, &err) != RG_OK)
      return failed(err);
  if (strcmp(fault, "leak") != 0) rg_result_free(result);
  result = NULL;
  rg_sampler_free(sampler);
  rg_target_free(target);
  rg_context_free(cx);
  if (strcmp(fault, "twice") == 0) free(user);
  free(draws);
  puts("no fault");
  return 0;
}
