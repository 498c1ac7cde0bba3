/* The sampler against known answers. */
#include "test.h"

/* N(0, I). */
static rg_status normal(void *object, rg_call *call, size_t n, size_t d, const double *x, double *logp,
                        double *grad) {
  (void)object, (void)call;
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

enum { CHAINS = 5000, DIM = 2, MOVES = 60, ALL = CHAINS * DIM };

/* Runs to the end, and copies the draws. With `through`, every state is saved, and the run goes on from the
 * bytes. */
static void run(rg_ref s, int through, double *draws) {
  const rg_sampler_vtable *v = s.vtable;
  void *now = NULL;
  rg_call call = begin(1);
  CHECK(v->start(s.object, &call, CHAINS, &now) == RG_OK, "start fails: %s", call.said);
  finish(&call);
  int32_t done = 0;
  for (int k = 0; !done; k++) {
    CHECK(k < 2 * MOVES, "no end after %d steps", k);
    if (through && v->save != NULL) {
      size_t need = 0;
      CHECK(v->save(s.object, &call, now, NULL, 0, &need) == RG_OK, "save fails");
      void *bytes = malloc(need);
      CHECK(bytes != NULL && v->save(s.object, &call, now, bytes, need, &need) == RG_OK, "save fails");
      v->end(s.object, now);
      CHECK(v->load(s.object, &call, bytes, need, &now) == RG_OK, "load fails: %s", call.said);
      void *other = NULL;
      CHECK(v->load(s.object, &call, bytes, need - 1, &other) != RG_OK, "damaged bytes are taken");
      free(bytes);
    }
    call.random = 1000 + (uint64_t)k;
    CHECK(v->step(s.object, &call, now, &done) == RG_OK, "step fails: %s", call.said);
    finish(&call);
  }
  CHECK(call.rows == CHAINS && call.cols == DIM, "%zu draws", call.rows);
  memcpy(draws, call.draws, ALL * sizeof(double));
  free(call.draws);
  v->end(s.object, now);
}

int main(void) {
  const rg_target_vtable target = {.struct_size = sizeof target,
                                   .caps = RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_GRADIENT,
                                   .threading = RG_THREAD_CONCURRENT,
                                   .eval = normal};
  const rg_ref part = {NULL, &target};
  const rg_deps deps = {.struct_size = sizeof deps, .dim = DIM, .target = &part};
  const rg_ref s = made("moves", MOVES, &deps);
  static double draws[ALL], again[ALL];

  /* Independent chains: mean 0 and variance 1. A mistake would be noticed. */
  run(s, 0, draws);
  CHECK(fabs(off(draws, ALL, 1, 0.0)) < 4.5, "mean off by %g", off(draws, ALL, 1, 0.0));
  CHECK(fabs(off(draws, ALL, 2, 1.0)) < 4.5, "variance off by %g", off(draws, ALL, 2, 1.0));
  CHECK(fabs(off(draws, ALL, 2, 1.1)) > 4.5, "a wrong variance is not noticed");

  /* A run that is taken up has the bits of one that was not interrupted. */
  run(s, 1, again);
  CHECK(memcmp(draws, again, sizeof draws) == 0, "other bits after saving");

  refused("scale", 0.0, &deps);
  refused("scale", INFINITY, &deps);
  ((const rg_sampler_vtable *)s.vtable)->destroy(s.object);
  puts("the sampler has its known answers");
  return 0;
}
