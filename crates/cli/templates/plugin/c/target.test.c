/* The target against known answers. */
#include "test.h"

static rg_status eval(rg_ref t, size_t n, size_t d, const double *x, double *logp, double *grad) {
  rg_call call = begin(1);
  const rg_status status = ((const rg_target_vtable *)t.vtable)->eval(t.object, &call, n, d, x, logp, grad);
  finish(&call);
  return status;
}

/* The largest difference of the gradient, times `factor`, from that of the log density. */
static double gradient_error(rg_ref t, double factor) {
  const double x[2] = {0.3, -1.7}, h = 1e-5;
  double grad[2], worst = 0.0;
  CHECK(eval(t, 1, 2, x, NULL, grad) == RG_OK, "eval fails");
  for (int j = 0; j < 2; j++) {
    double near[4] = {x[0], x[1], x[0], x[1]}, logp[2];
    near[j] += h;
    near[2 + j] -= h;
    CHECK(eval(t, 2, 2, near, logp, NULL) == RG_OK, "eval fails");
    worst = fmax(worst, fabs(factor * grad[j] - (logp[0] - logp[1]) / (2.0 * h)));
  }
  return worst;
}

int main(void) {
  const rg_deps none = {.struct_size = sizeof none};
  const rg_ref t = made("scale", 2.0, &none);
  const rg_target_vtable *table = t.vtable;

  /* By hand. */
  const double x[4] = {0.0, 0.0, 2.0, -4.0};
  double logp[2], grad[4];
  CHECK(eval(t, 2, 2, x, logp, grad) == RG_OK, "eval fails");
  CHECK(logp[0] == 0.0 && logp[1] == -2.5, "%g %g", logp[0], logp[1]);
  CHECK(grad[2] == -0.5 && grad[3] == 1.0, "%g %g", grad[2], grad[3]);

  /* A mistake would be noticed. */
  CHECK(gradient_error(t, 1.0) < 1e-8, "%g", gradient_error(t, 1.0));
  CHECK(gradient_error(t, 1.1) > 1e-2, "%g", gradient_error(t, 1.1));

  refused("scale", 0.0, &none);
  refused("scale", -1.0, &none);
  refused("scale", NAN, &none);
  table->destroy(t.object);
  puts("the target has its known answers");
  return 0;
}
