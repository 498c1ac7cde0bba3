/* The process against known answers. */
#include "test.h"

/* a' = A a and C' = 2 A C + g^2, A = f(x)/x and g^2 = G G' at x = 1, the latter times `factor`. */
static double law_error(rg_ref p, double factor) {
  const rg_process_vtable *v = p.vtable;
  const double one[2] = {1.0, 1.0}, t = 0.4, h = 1e-5;
  double f[2], g2[2], a[3], c[3];
  rg_call call = begin(1);
  CHECK(v->drift(p.object, &call, 1, 2, &t, 0, one, f) == RG_OK, "drift fails");
  CHECK(v->apply_ggt(p.object, &call, 1, 2, &t, 0, one, one, g2) == RG_OK, "apply_ggt fails");
  for (int i = 0; i < 3; i++)
    CHECK(v->linear(p.object, &call, 2, t + (i - 1) * h, &a[i], &c[i]) == RG_OK, "linear fails");
  finish(&call);
  const double a_slope = (a[2] - a[0]) / (2.0 * h), c_slope = (c[2] - c[0]) / (2.0 * h);
  return fmax(fabs(a_slope - f[0] * a[1]), fabs(c_slope - 2.0 * f[0] * c[1] - factor * g2[0]));
}

int main(void) {
  const rg_deps deps = {.struct_size = sizeof deps, .dim = 2};
  const rg_ref p = made("t_end", 20.0, &deps);
  const rg_process_vtable *v = p.vtable;
  rg_call call = begin(1);

  /* A mistake would be noticed. */
  CHECK(law_error(p, 1.0) < 1e-8, "%g", law_error(p, 1.0));
  CHECK(law_error(p, 1.1) > 1e-2, "%g", law_error(p, 1.1));

  /* Here G is symmetric: G G' z = G (G z). */
  const double x[2] = {0.3, -2.0}, z[2] = {1.0, -0.5}, t = 1.0;
  double once[2], twice[2], ggt[2];
  CHECK(v->apply_g(p.object, &call, 1, 2, 2, &t, 0, x, z, once) == RG_OK, "apply_g fails");
  CHECK(v->apply_g(p.object, &call, 1, 2, 2, &t, 0, x, once, twice) == RG_OK, "apply_g fails");
  CHECK(v->apply_ggt(p.object, &call, 1, 2, &t, 0, x, z, ggt) == RG_OK, "apply_ggt fails");
  for (int j = 0; j < 2; j++) CHECK(fabs(twice[j] - ggt[j]) < 1e-12, "%g %g", twice[j], ggt[j]);

  /* The reference law is that of the end, its gradient that of its density, its draws of it. */
  double alpha = 1.0, sigma2 = 0.0;
  CHECK(v->linear(p.object, &call, 2, 20.0, &alpha, &sigma2) == RG_OK, "linear fails");
  CHECK(alpha < 1e-6 && fabs(sigma2 - 1.0) < 1e-6, "%g %g", alpha, sigma2);
  const double h = 1e-5, near[4] = {0.3 + h, -2.0, 0.3 - h, -2.0};
  double logp[2], grad[2];
  CHECK(v->ref_eval(p.object, &call, 2, 2, near, logp, NULL) == RG_OK, "ref_eval fails");
  CHECK(v->ref_eval(p.object, &call, 1, 2, x, NULL, grad) == RG_OK, "ref_eval fails");
  CHECK(fabs((logp[0] - logp[1]) / (2.0 * h) - grad[0]) < 1e-8, "gradient %g", grad[0]);
  static double draws[20000];
  CHECK(v->ref_sample(p.object, &call, 10000, 2, draws) == RG_OK, "ref_sample fails");
  CHECK(fabs(off(draws, 20000, 1, 0.0)) < 4.5, "mean off by %g", off(draws, 20000, 1, 0.0));
  CHECK(fabs(off(draws, 20000, 2, 1.0)) < 4.5, "variance off by %g", off(draws, 20000, 2, 1.0));
  CHECK(fabs(off(draws, 20000, 2, 1.1)) > 4.5, "a wrong variance is not noticed");

  refused("rate", 0.0, &deps);
  refused("t_end", INFINITY, &deps);
  finish(&call);
  v->destroy(p.object);
  puts("the process has its known answers");
  return 0;
}
