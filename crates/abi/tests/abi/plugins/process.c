/* Checks a process of a plugin: process FILE COMPONENT DIM LAW [key=value ...]
 *
 * Every slot against another by differences, quadrature or simulation, as the equations that bind them say, and
 * the contract: outputs that are not wanted, n = 0, one time or one for each row, rows alone and in a batch.
 * LAW is the logarithm of the reference density at 0.7, from elsewhere, or `-`. The reference law must be the
 * one that the probability flow leaves alone. */
#include "fake_host.h"

enum { MOST = 4, DRAWS = 40000 };

static const rg_process_vtable *table;
static void *object;
static fake_call call;
static size_t d;
static double low = -INFINITY, high = INFINITY, t_end;

static void want(const char *what, rg_status status) {
  if (status != RG_OK) fake_stop(what, call.text);
}

/* (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12h, and the second derivative likewise. */
static const double AT[4] = {-2, -1, 1, 2}, FIRST[4] = {1, -8, 8, -1};

/* A function of a point, into d numbers, of which a check uses one or all. */
typedef void (*field)(const double *x, double *out);

static double along(field f, const double *x, size_t j, size_t out) {
  const double h = 1e-3 * (low == 0.0 ? x[j] : 1.0);
  double y[MOST], values[MOST], sum = 0.0;
  for (int k = 0; k < 4; k++) {
    memcpy(y, x, d * sizeof *y);
    y[j] += AT[k] * h;
    f(y, values);
    sum += FIRST[k] * values[out];
  }
  return sum / (12.0 * h);
}

static double time_now = 0.7;

static void drift(const double *x, double *out) {
  want("drift", table->drift(object, raw(&call), 1, d, &time_now, 0, x, out));
}
static void noise(const double *x, double *out) { /* the diagonal of G G' */
  double v[MOST], row[MOST];
  for (size_t j = 0; j < d; j++) {
    for (size_t k = 0; k < d; k++) v[k] = j == k;
    want("apply_ggt", table->apply_ggt(object, raw(&call), 1, d, &time_now, 0, x, v, row));
    out[j] = row[j];
  }
}
static void reference(const double *x, double *out) {
  want("ref_eval", table->ref_eval(object, raw(&call), 1, d, x, out, NULL));
}
static void det(const double *x, double *out) {
  double y[MOST];
  want("warp", table->warp(object, raw(&call), 1, d, x, y, out));
}
static void warped(const double *x, double *y) { want("warp", table->warp(object, raw(&call), 1, d, x, y, NULL)); }

static double from[MOST], from_time, to_time;
static void transition(const double *x, double *out) {
  want("transition_score",
       table->transition_score(object, raw(&call), 1, d, from_time, to_time, from, x, out, NULL));
}

static void at_a_point(const double *x) {
  double a[MOST], b[MOST], v[MOST], out[MOST], back[MOST], g[MOST * MOST], l = NAN;
  for (size_t j = 0; j < d; j++) v[j] = 0.4 + 0.3 * (double)j;

  /* G G' v by G's columns; here m = d. */
  for (size_t j = 0; j < d; j++) {
    for (size_t k = 0; k < d; k++) a[k] = j == k;
    want("apply_g", table->apply_g(object, raw(&call), 1, d, d, &time_now, 0, x, a, g + j * d));
  }
  want("apply_ggt", table->apply_ggt(object, raw(&call), 1, d, &time_now, 0, x, v, out));
  for (size_t i = 0; i < d; i++) {
    double sum = 0.0;
    for (size_t j = 0; j < d; j++)
      for (size_t k = 0; k < d; k++) sum += g[j * d + i] * g[j * d + k] * v[k];
    near("G G' v", out[i], sum, 1e-12);
  }
  want("div_ggt", table->div_ggt(object, raw(&call), 1, d, &time_now, 0, x, out));
  for (size_t i = 0; i < d; i++) near("div D", out[i], along(noise, x, i, i), 1e-9);

  double vjp[MOST] = {0}, sum = 0.0;
  want("drift_jvp", table->drift_jvp(object, raw(&call), 1, d, &time_now, 0, x, v, out));
  want("drift_vjp", table->drift_vjp(object, raw(&call), 1, d, &time_now, 0, x, v, vjp));
  want("drift_div", table->drift_div(object, raw(&call), 1, d, &time_now, 0, x, &l));
  for (size_t i = 0; i < d; i++) {
    double forward = 0.0, backward = 0.0;
    for (size_t j = 0; j < d; j++) {
      forward += along(drift, x, j, i) * v[j];
      backward += along(drift, x, i, j) * v[j];
    }
    sum += along(drift, x, i, i);
    near("df/dx v", out[i], forward, 1e-9);
    near("(df/dx)' v", vjp[i], backward, 1e-9);
  }
  near("div f", l, sum, 1e-9);

  /* The reference law: gradient, both outputs at once, and no flux. */
  double lone = NAN;
  reference(x, &lone);
  want("ref_eval", table->ref_eval(object, raw(&call), 1, d, x, &l, a));
  if (l != lone) bad("the reference density depends on whether the gradient is wanted");
  for (size_t j = 0; j < d; j++) near("reference gradient", a[j], along(reference, x, j, 0), 1e-8);
  drift(x, b);
  want("div_ggt", table->div_ggt(object, raw(&call), 1, d, &time_now, 0, x, back));
  want("apply_ggt", table->apply_ggt(object, raw(&call), 1, d, &time_now, 0, x, a, out));
  for (size_t j = 0; j < d; j++) near("flow of the reference law", b[j] - 0.5 * back[j] - 0.5 * out[j], 0.0, 1e-11);

  if (table->warp != NULL) {
    double y[MOST], sx[MOST], zero[MOST] = {0};
    warped(x, y);
    want("unwarp", table->unwarp(object, raw(&call), 1, d, y, back));
    want("warp", table->warp(object, raw(&call), 1, d, x, out, &l));
    double log_det = 0.0;
    for (size_t j = 0; j < d; j++) {
      near("unwarp", back[j], x[j], 1e-13);
      log_det += log(fabs(along(warped, x, j, j))); /* a diagonal map */
    }
    near("log det", l, log_det, 1e-9);
    want("warp_score", table->warp_score(object, raw(&call), 1, d, x, v, sx));
    want("warp_score", table->warp_score(object, raw(&call), 1, d, x, zero, back));
    for (size_t j = 0; j < d; j++) {
      near("grad log det", back[j], along(det, x, j, 0), 1e-8);
      near("score under the warp", sx[j], along(warped, x, j, j) * v[j] + back[j], 1e-8);
    }
    if (table->restore != NULL && table->linear != NULL) {
      /* (y + V s_y) / A at t - back, in y. */
      const double length = 0.3;
      double A = NAN, V = NAN, r[MOST], yr[MOST];
      want("linear", table->linear(object, raw(&call), d, length, &A, &V));
      want("restore", table->restore(object, raw(&call), 1, d, 0.9, length, x, sx, r));
      warped(r, yr);
      for (size_t j = 0; j < d; j++) near("restore", yr[j], (y[j] + V * v[j]) / A, 1e-11);
    }
  }
  if (table->transition_score == NULL) return;

  for (int pair = 0; pair < 2; pair++) {
    memcpy(from, x, sizeof from);
    from_time = pair == 0 ? 0.0 : 0.4;
    to_time = pair == 0 ? 0.5 : 2.1;
    double to[MOST], z[MOST], f[MOST], D[MOST];
    for (size_t j = 0; j < d; j++) z[j] = 0.6 - 0.5 * (double)j;
    want("forward_map", table->forward_map(object, raw(&call), 1, d, from_time, to_time, x, z, to));
    want("solve_noise", table->solve_noise(object, raw(&call), 1, d, from_time, to_time, x, to, back));
    want("transition_score", table->transition_score(object, raw(&call), 1, d, from_time, to_time, x, to, &l, a));
    /* log N(z) less the log of the Jacobian of the map, which is diagonal. */
    double log_p = 0.0;
    for (size_t j = 0; j < d; j++) {
      near("solve_noise", back[j], z[j], 1e-11);
      double plus[MOST], minus[MOST];
      const double h = 1e-4;
      z[j] += h;
      want("forward_map", table->forward_map(object, raw(&call), 1, d, from_time, to_time, x, z, plus));
      z[j] -= 2 * h;
      want("forward_map", table->forward_map(object, raw(&call), 1, d, from_time, to_time, x, z, minus));
      z[j] += h;
      log_p += -0.5 * z[j] * z[j] - 0.5 * log(6.283185307179586) - log((plus[j] - minus[j]) / (2 * h));
      near("transition gradient", a[j], along(transition, to, j, 0), 1e-8);
    }
    near("transition density", l, log_p, 1e-7);
    if (table->linear != NULL && from_time == 0.0) {
      double A = NAN, V = NAN, y0[MOST], y[MOST], q = 0.0;
      want("linear", table->linear(object, raw(&call), d, to_time, &A, &V));
      warped(x, y0);
      want("warp", table->warp(object, raw(&call), 1, d, to, y, &q));
      for (size_t j = 0; j < d; j++)
        q += -0.5 * log(6.283185307179586 * V) - 0.5 * (y[j] - A * y0[j]) * (y[j] - A * y0[j]) / V;
      near("transition by the linear law", l, q, 1e-11);
    }
    /* Kolmogorov's forward equation: d/dt log p = -div f - f . s + 1/2 [tr D'' + 2 D' s + D (s' + s^2)], for
     * coordinates that do not meet. */
    double rate = 0.0, left = 0.0;
    drift(to, f);
    noise(to, D);
    for (size_t j = 0; j < d; j++) {
      const double h = 1e-3 * (low == 0.0 ? to[j] : 1.0);
      double up[MOST], down[MOST], second = 0.0, values[MOST];
      for (int k = -1; k <= 1; k++) {
        memcpy(up, to, sizeof up);
        up[j] += k * h;
        noise(up, values);
        second += (k == 0 ? -2.0 : 1.0) * values[j] / (h * h);
      }
      memcpy(up, to, sizeof up), memcpy(down, to, sizeof down);
      up[j] += h, down[j] -= h;
      double above, below;
      transition(up, &above), transition(down, &below);
      const double slope = (above + below - 2 * l) / (h * h), s = a[j];
      rate += -along(drift, to, j, j) - f[j] * s +
              0.5 * (second + 2.0 * along(noise, to, j, j) * s + D[j] * (slope + s * s));
    }
    const double h = 1e-4, end = to_time;
    double sign[4];
    for (int k = 0; k < 4; k++) {
      to_time = end + AT[k] * h;
      transition(to, &sign[k]);
      left += FIRST[k] * sign[k] / (12.0 * h);
    }
    to_time = end;
    near("forward equation", left, rate, 2e-5);
  }
  if (table->transition_score(object, raw(&call), 1, d, 1.0, 1.0, x, x, &l, NULL) != RG_ERR_ARG)
    bad("a transition over no time is taken");
}

/* Times of noise levels, and levels that are never reached. */
static void levels(void) {
  if (table->time_of == NULL) return;
  for (double t = 1e-6; t < t_end; t *= 3.7) {
    double A = NAN, V = NAN, back = NAN;
    want("linear", table->linear(object, raw(&call), d, t, &A, &V));
    want("time_of", table->time_of(object, raw(&call), sqrt(V) / A, t_end, &back));
    near("time of a noise level, in units of it", back / t, 1.0, 1e-9);
  }
  double t = NAN;
  want("time_of", table->time_of(object, raw(&call), 0.0, t_end, &t));
  near("time of no noise", t, 0.0, 0.0);
  if (table->time_of(object, raw(&call), 1e9, t_end, &t) != RG_ERR_ARG ||
      table->time_of(object, raw(&call), -1.0, t_end, &t) != RG_ERR_ARG ||
      table->time_of(object, raw(&call), NAN, t_end, &t) != RG_ERR_ARG)
    bad("a noise level that is never reached has the time %g", t);
}

/* --- laws ---------------------------------------------------------------------------------------------- */

/* Nodes and weights of the trapezoidal rule in u, x = sinh(u) or exp(u). */
static double node(int i, int m, double *weight) {
  const double h = 30.0 / m, u = -15.0 + h * i, e = exp(u);
  *weight = h * (low == 0.0 ? e : cosh(u));
  return low == 0.0 ? e : sinh(u);
}

/* Mass 1, and draws of the density: means of tanh and of its square. */
static void law_and_draws(const char *what, field log_density, const double *draws) {
  enum { M = 6000 };
  double mass = 0.0, moment[2] = {0.0, 0.0};
  for (int i = 0; i <= M; i++) {
    double w, l;
    const double x = node(i, M, &w), t = tanh(x - 0.6);
    log_density(&x, &l);
    mass += w * exp(l);
    moment[0] += w * exp(l) * t;
    moment[1] += w * exp(l) * t * t;
  }
  near(what, mass, 1.0, 1e-9);
  for (int k = 0; k < 2; k++) {
    double mean = 0.0, square = 0.0;
    for (int i = 0; i < DRAWS; i++) {
      const double t = tanh(draws[i] - 0.6), v = k == 0 ? t : t * t;
      mean += v / DRAWS;
      square += v * v / DRAWS;
    }
    const double se = sqrt((square - mean * mean) / DRAWS), score = (mean - moment[k]) / se;
    if (!(fabs(score) < 4.5)) bad("%s: draws are %.1f standard errors off", what, score);
  }
  for (int i = 0; i < DRAWS; i++)
    if (!(draws[i] > low && draws[i] < high)) {
      bad("%s: the draw %g is outside of the support", what, draws[i]);
      break;
    }
}

static void laws(const char *known) {
  static double x[DRAWS], fewer[DRAWS], start[DRAWS], p[DRAWS];
  fake_call one = fake_new(11), two = fake_new(11);
  want("ref_sample", table->ref_sample(object, raw(&one), DRAWS, 1, x));
  want("ref_sample", table->ref_sample(object, raw(&two), DRAWS / 3, 1, fewer));
  if (memcmp(x, fewer, DRAWS / 3 * sizeof *x) != 0) bad("the first draws depend on how many there are");
  law_and_draws("reference law", reference, x);
  if (strcmp(known, "-") != 0) {
    const double at = 0.7;
    double l;
    reference(&at, &l);
    near("the reference law at 0.7", l, strtod(known, NULL), 1e-12);
  }
  fake_done(&one), fake_done(&two);
  if (table->transition_sample == NULL) return;
  from[0] = 2.2, from_time = 0.3, to_time = 0.9;
  for (int i = 0; i < DRAWS; i++) start[i] = from[0];
  want("transition_sample",
       table->transition_sample(object, raw(&call), DRAWS, 1, from_time, to_time, start, x));
  law_and_draws("transition", transition, x);
  if (table->cdf == NULL) return;
  want("cdf", table->cdf(object, raw(&call), DRAWS, from_time, to_time, start, x, p));
  double mean = 0.0, square = 0.0;
  for (int i = 0; i < DRAWS; i++) mean += p[i] / DRAWS, square += p[i] * p[i] / DRAWS;
  if (fabs(mean - 0.5) > 4.5 * sqrt(1.0 / 12 / DRAWS)) bad("P of draws has the mean %g", mean);
  if (fabs(square - 1.0 / 3) > 4.5 * sqrt(4.0 / 45 / DRAWS)) bad("P of draws has the mean square %g", square);
  /* Quantiles invert it, over the range of P; a difference of P is the integral of the density. */
  for (int i = 0; i < 199; i++) {
    const double tail = pow(10.0, -1.0 - 0.15 * (i % 90));
    p[i] = i < 90 ? tail : i < 180 ? 1.0 - tail : (i - 180 + 0.5) / 19.5;
  }
  want("quantile", table->quantile(object, raw(&call), 199, from_time, to_time, start, p, fewer));
  want("cdf", table->cdf(object, raw(&call), 199, from_time, to_time, start, fewer, x));
  for (int i = 0; i < 199; i++)
    if (!(fabs(x[i] - p[i]) <= 1e-12 * p[i])) bad("P of the quantile of %g is %g", p[i], x[i]);
  double ends[2] = {1.1, 1.9}, two_p[2], sum = 0.0, l;
  want("cdf", table->cdf(object, raw(&call), 2, from_time, to_time, start, ends, two_p));
  for (int i = 0; i <= 400; i++) {
    const double at = ends[0] + (ends[1] - ends[0]) * i / 400;
    transition(&at, &l);
    sum += exp(l) * (i == 0 || i == 400 ? 1 : i % 2 == 1 ? 4 : 2) * (ends[1] - ends[0]) / 1200;
  }
  near("difference of P", two_p[1] - two_p[0], sum, 1e-10);
}

/* --- the contract ------------------------------------------------------------------------------------------ */

typedef rg_status (*slot)(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out);

static rg_status s_drift(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  (void)v;
  return table->drift(object, raw(&call), n, d, t, ts, x, out);
}
static rg_status s_g(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  return table->apply_g(object, raw(&call), n, d, d, t, ts, x, v, out);
}
static rg_status s_ggt(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  return table->apply_ggt(object, raw(&call), n, d, t, ts, x, v, out);
}
static rg_status s_div(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  (void)v;
  return table->div_ggt(object, raw(&call), n, d, t, ts, x, out);
}
static rg_status s_jvp(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  return table->drift_jvp(object, raw(&call), n, d, t, ts, x, v, out);
}
static rg_status s_ref(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  (void)t, (void)ts, (void)v;
  return table->ref_eval(object, raw(&call), n, d, x, NULL, out);
}
static rg_status s_map(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  (void)t, (void)ts;
  return table->forward_map(object, raw(&call), n, d, 0.1, 0.7, x, v, out);
}
static rg_status s_restore(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  (void)t, (void)ts;
  return table->restore(object, raw(&call), n, d, 0.7, 0.2, x, v, out);
}
static rg_status s_transition(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  (void)t, (void)ts, (void)v;
  return table->transition_score(object, raw(&call), n, d, 0.1, 0.7, x, x, NULL, out);
}
static rg_status s_warp(size_t n, const double *t, size_t ts, const double *x, const double *v, double *out) {
  (void)t, (void)ts, (void)v;
  return table->warp(object, raw(&call), n, d, x, out, NULL);
}

static void rows(void) {
  enum { N = 13 };
  double x[N * MOST], v[N * MOST], t[N], out[N * MOST], own[N * MOST], one[MOST];
  for (size_t k = 0; k < N * d; k++) {
    x[k] = (low == 0.0 ? 0.2 : -1.25) + (double)((7 * k + 3) % 11) / 4.0;
    v[k] = (double)((5 * k + 1) % 7) / 8.0 - 0.4;
  }
  x[3 * d] = NAN;
  for (int i = 0; i < N; i++) t[i] = 0.1 + 0.05 * i;
  const slot slots[] = {s_drift, s_g, s_ggt, s_div, s_jvp, s_ref, s_map, s_restore, s_transition, s_warp};
  const size_t count = table->warp == NULL ? 6 : 10;
  for (size_t k = 0; k < count; k++) {
    const double shared = t[6];
    memset(out, 0x55, sizeof out);
    want("a slot", slots[k](N, &shared, 0, x, v, out));
    want("a slot", slots[k](N, t, 1, x, v, own));
    for (size_t i = 0; i < N; i++) {
      want("a slot", slots[k](1, &t[i], 0, x + i * d, v + i * d, one));
      if (memcmp(one, own + i * d, d * sizeof *one) != 0) bad("slot %zu: row %zu alone is another", k, i);
    }
    if (memcmp(out + 6 * d, own + 6 * d, d * sizeof *out) != 0) bad("slot %zu: a shared time is another", k);
    want("n = 0", slots[k](0, t, 1, x, v, out));
  }
}

/* Outside of the support there is no mass, and everything is a number. */
static void outside(void) {
  if (low != 0.0) return;
  double x[MOST] = {0.8, 0.8, 0.8, 0.8}, out[MOST], l = NAN;
  x[0] = -0.5;
  const slot slots[] = {s_drift, s_g, s_ggt, s_div, s_jvp};
  for (size_t k = 0; k < 5; k++) {
    want("outside", slots[k](1, &time_now, 0, x, x, out));
    for (size_t j = 0; j < d; j++)
      if (!isfinite(out[j])) bad("slot %zu outside of the support: %g", k, out[j]);
  }
  want("outside", table->ref_eval(object, raw(&call), 1, d, x, &l, out));
  if (l != -INFINITY || out[0] != 0.0) bad("the density outside of the support: log %g, gradient %g", l, out[0]);
  want("outside", table->warp(object, raw(&call), 1, d, x, out, &l));
  if (l != -INFINITY || !isfinite(out[0])) bad("the warp outside of the support: %g, log det %g", out[0], l);
}

int main(int argc, char **argv) {
  if (argc < 5) fake_stop("usage", "process FILE COMPONENT DIM LAW [key=value ...]");
  const rg_component *component = fake_find(fake_load(argv[1]), argv[2]);
  if (component->kind != RG_KIND_PROCESS) fake_stop("kind", "it is no process");
  rg_deps deps;
  memset(&deps, 0, sizeof deps);
  deps.struct_size = sizeof deps;
  deps.dim = (size_t)strtoul(argv[3], NULL, 10);
  const rg_ref made = fake_make(component, (const char *const *)argv + 5, &deps);
  table = (const rg_process_vtable *)made.vtable;
  object = made.object;
  call = fake_new(3);
  size_t m = 0;
  want("info", table->info(object, raw(&call), &d, &m, &t_end));
  if (d != deps.dim || m != d || d > MOST || !(t_end > 0.0)) fake_stop("info", "dimensions or T");
  if (table->support != NULL) want("support", table->support(object, raw(&call), &low, &high));
  if ((table->cdf == NULL) != (table->quantile == NULL) || (d != 1 && table->cdf != NULL))
    bad("cdf and quantile are for d = 1, both");
  const double points[4][MOST] = {
      {0.3, 1.4, 0.8, 0.6}, {1.9, 0.2, 1.2, 0.5}, {0.9, 1.0, 1.1, 2.0}, {3.1, 0.7, 0.4, 1.3}};
  for (int i = 0; i < 4; i++) {
    double x[MOST];
    for (size_t j = 0; j < d; j++) x[j] = low == 0.0 ? points[i][j] : 2.0 * (points[i][j] - 1.0);
    at_a_point(x);
  }
  levels();
  rows();
  outside();
  if (d == 1) laws(argv[4]);
  /* Long enough, and too short. */
  fake_flags = 0;
  want("flags", table->flags(object, raw(&call)));
  if (fake_flags != 0) bad("%d flags", fake_flags);
  table->destroy(object);
  const char *const brief[] = {"t_end=0.01", NULL};
  rg_ref other = fake_make(component, brief, &deps);
  want("flags", ((const rg_process_vtable *)other.vtable)->flags(other.object, raw(&call)));
  if (fake_flags != 1) bad("a time that is too short gives %d flags", fake_flags);
  ((const rg_process_vtable *)other.vtable)->destroy(other.object);
  const char *const wrong[] = {"t_end=0.0", NULL};
  if (fake_try(component, wrong, &deps, &call, &other) != RG_ERR_CONFIG || strstr(call.text, "`t_end` is 0") == NULL ||
      strcmp(call.refused, "t_end") != 0)
    bad("t_end = 0 gives: %s", call.text);
  deps.dim = 0;
  if (fake_try(component, NULL, &deps, &call, &other) != RG_ERR_CONFIG) bad("a process without a dimension is made");
  fake_done(&call);
  return fake_report();
}
