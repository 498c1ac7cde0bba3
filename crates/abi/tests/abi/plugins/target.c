/* Checks a target of a plugin: target FILE COMPONENT LOG_Z [key=value ...]
 *
 * Gradients and Hessian-vector products against differences, the integral against LOG_Z by the trapezoidal rule
 * (in one dimension or two), and the contract: outputs that are not wanted, n = 0, rows alone and in a batch. */
#include "fake_host.h"

static const rg_target_vtable *table;
static void *object;
static fake_call call;

static double value(size_t d, const double *x) {
  double l = NAN;
  (void)d;
  if (table->eval(object, raw(&call), 1, d, x, &l, NULL) != RG_OK) fake_stop("eval", call.text);
  return l;
}

static void gradient(size_t d, const double *x, double *g) {
  if (table->eval(object, raw(&call), 1, d, x, NULL, g) != RG_OK) fake_stop("eval", call.text);
}

enum { MOST = 8 };

static void derivatives(size_t d, const double *x) {
  double g[MOST], y[MOST], v[MOST], hv[MOST], both[MOST], l = NAN;
  gradient(d, x, g);
  if (table->eval(object, raw(&call), 1, d, x, &l, both) != RG_OK) fake_stop("eval", call.text);
  if (l != value(d, x) || memcmp(g, both, d * sizeof *g) != 0) bad("value and gradient together differ from each");
  const double h = 1e-3;
  for (size_t j = 0; j < d; j++) {
    double f[4];
    for (int k = 0; k < 4; k++) {
      memcpy(y, x, d * sizeof *y);
      y[j] += h * (double[]){-2, -1, 1, 2}[k];
      f[k] = value(d, y);
    }
    near("gradient", g[j], (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h), 1e-8);
    v[j] = 0.3 + 0.2 * (double)j;
  }
  if (table->hvp == NULL) return;
  if (table->hvp(object, raw(&call), 1, d, x, v, hv) != RG_OK) fake_stop("hvp", call.text);
  double f[4][MOST];
  for (int k = 0; k < 4; k++) {
    for (size_t j = 0; j < d; j++) y[j] = x[j] + h * (double[]){-2, -1, 1, 2}[k] * v[j];
    gradient(d, y, f[k]);
  }
  for (size_t j = 0; j < d; j++)
    near("Hessian", hv[j], (f[0][j] - 8 * f[1][j] + 8 * f[2][j] - f[3][j]) / (12 * h), 1e-8);
}

static void rows(size_t d) {
  enum { N = 13 };
  double x[N * MOST], l[N], g[N * MOST], one[MOST];
  for (size_t k = 0; k < N * d; k++) x[k] = (double)((7 * k + 3) % 11) / 4.0 - 1.25;
  x[2 * d] = NAN;
  x[5 * d] = 1e200;
  if (table->eval(object, raw(&call), N, d, x, l, g) != RG_OK) fake_stop("eval", call.text);
  for (size_t i = 0; i < N; i++) {
    const double alone = value(d, x + i * d);
    gradient(d, x + i * d, one);
    if (memcmp(&alone, &l[i], sizeof alone) != 0 || memcmp(one, g + i * d, d * sizeof *one) != 0)
      bad("row %zu alone is not that of a batch", i);
  }
  if (!isnan(l[2])) bad("the log density of NaN is %g", l[2]);
  if (l[5] != -INFINITY) bad("the log density far out is %g", l[5]);
  for (size_t j = 0; j < d; j++)
    if (g[5 * d + j] != 0.0) bad("the gradient without mass is %g", g[5 * d + j]);
  if (table->eval(object, raw(&call), 0, d, x, l, g) != RG_OK) bad("n = 0: %s", call.text);
}

static void integral(size_t d, double expected) {
  double sum = 0.0;
  if (d == 1) {
    enum { M = 20000 };
    for (int i = -M; i <= M; i++) {
      const double x = 10.0 * i / M;
      sum += exp(value(1, &x)) * 10.0 / M;
    }
  } else if (d == 2) {
    /* Over a square, and over one that is bent along a curved valley: what is left out makes either too small. */
    enum { M = 400 };
    double bent = 0.0;
    for (int i = -M; i <= M; i++)
      for (int j = -M; j <= M; j++) {
        const double a = 8.0 * i / M, b = 8.0 * j / M, x[2] = {a, b}, y[2] = {a, a * a + b};
        sum += exp(value(2, x)) * (8.0 / M) * (8.0 / M);
        bent += exp(value(2, y)) * (8.0 / M) * (8.0 / M);
      }
    if (bent > sum) sum = bent;
  } else {
    return;
  }
  near("log Z by quadrature", log(sum), expected, 1e-9);
}

static void texts(size_t d) {
  char buf[64] = "untouched";
  size_t need = 0, k = 0;
  if (table->name != NULL) {
    if (table->name(object, raw(&call), d - 1, NULL, 0, &need) != RG_OK || need < 2 || need > 60) bad("a name's length");
    if (table->name(object, raw(&call), 0, buf, 1, &need) != RG_OK || strcmp(buf, "untouched") != 0)
      bad("a name in a buffer that is too small");
    if (table->name(object, raw(&call), 0, buf, sizeof buf, &need) != RG_OK || strlen(buf) + 1 != need)
      bad("the name %s", buf);
  }
  if (table->n_outputs == NULL) return;
  if (table->n_outputs(object, raw(&call), &k) != RG_OK || k != 1) bad("%zu outputs", k);
  if (table->output_name(object, raw(&call), 0, buf, sizeof buf, &need) != RG_OK || strcmp(buf, "share_right") != 0)
    bad("the output %s", buf);
  double x[2 * MOST], out[2] = {NAN, NAN};
  for (size_t j = 0; j < d; j++) x[j] = 1.0, x[d + j] = j == 0 ? 1.0 : -1.0;
  if (table->outputs(object, raw(&call), 2, d, k, x, out) != RG_OK) bad("outputs: %s", call.text);
  near("share of all", out[0], 1.0, 0.0);
  near("share of one", out[1], 1.0 / (double)d, 0.0);
}

int main(int argc, char **argv) {
  if (argc < 4) fake_stop("usage", "target FILE COMPONENT LOG_Z [key=value ...]");
  const rg_component *component = fake_find(fake_load(argv[1]), argv[2]);
  if (component->kind != RG_KIND_TARGET) fake_stop("kind", "it is no target");
  const rg_ref made = fake_make(component, (const char *const *)argv + 4, NULL);
  table = (const rg_target_vtable *)made.vtable;
  object = made.object;
  call = fake_new(2);
  size_t d = 0;
  if (table->dim(object, raw(&call), &d) != RG_OK || d == 0 || d > MOST) fake_stop("dim", call.text);
  const double points[3][MOST] = {{0.3, -0.2, 0.8, 1.1, -0.4, 0.1, 0.6, -0.9},
                                  {-1.1, 0.9, 0.2, -0.7, 0.5, 1.2, -0.3, 0.4},
                                  {0.9, 1.0, 1.1, 0.8, 0.6, 0.3, 0.2, 0.1}};
  for (int i = 0; i < 3; i++) derivatives(d, points[i]);
  rows(d);
  texts(d);
  integral(d, strtod(argv[3], NULL));
  table->destroy(object);
  fake_done(&call);
  /* Values that the declared range lets pass, and that are wrong all the same. */
  for (size_t k = 0; k < component->n_params; k++) {
    const char *const key = component->params[k]->name;
    if (strcmp(key, "b") != 0 && strcmp(key, "sd") != 0) continue;
    char given[16], said[16];
    snprintf(given, sizeof given, "%s=0.0", key);
    snprintf(said, sizeof said, "`%s` is", key);
    const char *const wrong[] = {given, NULL};
    rg_ref none;
    if (fake_try(component, wrong, NULL, &call, &none) != RG_ERR_CONFIG || strstr(call.text, said) == NULL ||
        strcmp(call.refused, key) != 0)
      bad("%s gives: %s", given, call.text);
  }
  return fake_report();
}
