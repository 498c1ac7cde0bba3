/* The score against known answers. */
#include "test.h"

/* dX = -X dt + sqrt(2) dW, of which the score needs no more than the law. */
static rg_status ou(void *object, rg_call *call, size_t d, double t, double *alpha, double *sigma2) {
  (void)object, (void)call, (void)d;
  *alpha = exp(-t);
  *sigma2 = -expm1(-2.0 * t);
  return RG_OK;
}

/* E s(X) X = -1 for the score s of the law of X (Stein): how many standard errors the mean of -s x is from
 * 1, of a score that is `factor` times too large. */
static double stein(rg_ref s, double sd, double t, double factor) {
  enum { N = 20000 };
  static double x[N], z[N], out[N];
  rg_call call = begin(1);
  double alpha, sigma2;
  ou(NULL, &call, 1, t, &alpha, &sigma2);
  t_normal(&call, N, 1, x);
  t_normal(&call, N, 1, z);
  for (int i = 0; i < N; i++) x[i] = alpha * sd * x[i] + sqrt(sigma2) * z[i];
  CHECK(((const rg_score_vtable *)s.vtable)->eval(s.object, &call, N / 2, 2, &t, 0, x, out) == RG_OK,
        "eval fails");
  for (int i = 0; i < N; i++) out[i] *= -factor * x[i];
  finish(&call);
  return off(out, N, 1, 1.0);
}

int main(void) {
  const rg_process_vtable process = {
      .struct_size = sizeof process, .caps = RG_CAP_LINEAR | RG_CAP_G_CONST_X, .linear = ou};
  const rg_ref part = {NULL, &process};
  const rg_deps deps = {.struct_size = sizeof deps, .dim = 2, .process = &part};
  const rg_ref s = made("data_sd", 1.7, &deps);
  const rg_score_vtable *v = s.vtable;

  /* A mistake would be noticed. */
  const double times[3] = {0.0, 0.3, 5.0};
  for (int i = 0; i < 3; i++) {
    CHECK(fabs(stein(s, 1.7, times[i], 1.0)) < 4.5, "off by %g", stein(s, 1.7, times[i], 1.0));
    CHECK(fabs(stein(s, 1.7, times[i], 1.1)) > 4.5, "a wrong score is not noticed");
  }

  /* Times of rows are those of each row. */
  const double x[6] = {0.3, -1.0, 2.0, 0.1, -0.7, 0.4};
  double all[6], one[2];
  rg_call call = begin(1);
  CHECK(v->eval(s.object, &call, 3, 2, times, 1, x, all) == RG_OK, "eval fails");
  for (int i = 0; i < 3; i++) {
    CHECK(v->eval(s.object, &call, 1, 2, &times[i], 0, x + 2 * i, one) == RG_OK, "eval fails");
    CHECK(one[0] == all[2 * i] && one[1] == all[2 * i + 1], "row %d", i);
  }

  refused("data_sd", 0.0, &deps);
  refused("data_sd", NAN, &deps);
  finish(&call);
  v->destroy(s.object);
  puts("the score has its known answers");
  return 0;
}
