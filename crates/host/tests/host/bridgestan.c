/* A library with BridgeStan's C interface, version 2, for a model whose evidence is known:
 *
 *   y[i] ~ normal(mu, sigma),  mu ~ normal(0, sigma / sqrt(1/2)),  sigma^2 ~ inv_gamma(2, 3/2)
 *
 * with parameters (mu, sigma > 0) and unconstrained coordinates (mu, log sigma). Transformed parameters
 * are z.1 = mu / sigma, z.2 = sigma^2 and `made` (the seed of the constructor), the generated quantity is
 * y_new ~ normal(mu, sigma). Definitions change it:
 *
 *   THREADS 0|1      what it says of threads (1)
 *   MAJOR n          its version (2); OLD: that of 1.0, which had none; NONE: no functions but one
 *   LACKS            bs_log_density under another name
 *   NO_HVP           no products with the Hessian
 *   FAILS limit      no density where mu > limit
 *   MUTE             fails without a word
 *   GQ_FAILS limit   no generated quantities where mu > limit
 *   EMPTY            no parameters
 *   NAMES            names that do not fit their number
 *   WRONG_GRADIENT   the slope in log sigma is 1 % too large
 *   NO_JACOBIAN      the Jacobian is left out although it is asked for
 *   PROPTO           constants are left out although they are asked for
 *   PRINTS           prints when it is made
 */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef THREADS
#define THREADS 1
#endif
#ifndef MAJOR
#define MAJOR 2
#endif
#ifndef FAILS
#define FAILS INFINITY
#endif
#ifndef GQ_FAILS
#define GQ_FAILS INFINITY
#endif
#define POINTS 100

#ifdef NONE
int something_else(void) { return 1; }
#else

/* What a test looks at: messages and objects that are alive, threads that came, calls that met. */
atomic_int test_messages, test_models, test_rngs, test_threads, test_met;
static atomic_int inside;

typedef struct {
  int n;
  double y[POINTS];
  unsigned int seed;
} bs_model;

typedef struct {
  uint64_t state;
} bs_rng;

static void say(char **error_msg, const char *text) {
#ifdef MUTE
  (void)text;
  *error_msg = NULL;
#else
  size_t size = strlen(text) + 1;
  *error_msg = malloc(size);
  memcpy(*error_msg, text, size);
  ++test_messages;
#endif
}

void bs_free_error_msg(char *error_msg) {
  --test_messages;
  free(error_msg);
}

static void enter(void) {
  static _Thread_local bool came = false;
  if (!came) ++test_threads;
  came = true;
  if (atomic_fetch_add(&inside, 1) > 0) ++test_met;
}

static int leave(int code) {
  --inside;
  return code;
}

typedef void (*print_callback)(const char *text, size_t length);
static print_callback printer;

int bs_set_print_callback(print_callback callback, char **error_msg) {
  (void)error_msg;
  printer = callback;
  return 0;
}

#ifdef OLD
bs_model *bs_construct(char *data, unsigned int seed, unsigned int chain) {
  (void)data, (void)seed, (void)chain;
  return NULL;
}
#else
const int bs_major_version = MAJOR;
const int bs_minor_version = 7;
const int bs_patch_version = 0;
#endif

bs_model *bs_model_construct(const char *data, unsigned int seed, char **error_msg) {
  const char *at = data ? strstr(data, "\"y\"") : NULL;
#ifdef PRINTS
  const char *line = "printed by the model\n";
  if (printer)
    printer(line, strlen(line));
  else
    fputs(line, stdout);
#endif
  at = at ? strchr(at, '[') : NULL;
  if (!at) {
    say(error_msg,
        "construct() failed with exception: Exception: variable does not exist; processing "
        "stage=data initialization; variable name=y\n");
    return NULL;
  }
  bs_model *m = calloc(1, sizeof *m);
  m->seed = seed;
  for (++at; m->n < POINTS; ++at) {
    char *end;
    double y = strtod(at, &end);
    if (end == at) break;
    m->y[m->n++] = y;
    at = end + strspn(end, " \t\r\n");
    if (*at != ',') break;
  }
  ++test_models;
  return m;
}

void bs_model_destruct(bs_model *m) {
  --test_models;
  free(m);
}

const char *bs_name(const bs_model *m) {
  (void)m;
  return "normal_model";
}

const char *bs_model_info(const bs_model *m) {
  (void)m;
  return "BridgeStan version: 2.7.0\nStan version: 2.37.0\nStan C++ Defines:\n"
#if THREADS
         "\tSTAN_THREADS=true\n"
#else
         "\tSTAN_THREADS=false\n"
#endif
         "\tSTAN_MPI=false\n";
}

const char *bs_param_names(const bs_model *m, bool tp, bool gq) {
  (void)m;
#ifdef NAMES
  return "mu";
#endif
  if (tp && gq) return "mu,sigma,z.1,z.2,made,y_new";
  if (tp) return "mu,sigma,z.1,z.2,made";
  return gq ? "mu,sigma,y_new" : "mu,sigma";
}

const char *bs_param_unc_names(const bs_model *m) {
  (void)m;
#ifdef EMPTY
  return "";
#else
  return "mu,sigma";
#endif
}

int bs_param_num(const bs_model *m, bool tp, bool gq) {
  (void)m;
  return 2 + (tp ? 3 : 0) + (gq ? 1 : 0);
}

int bs_param_unc_num(const bs_model *m) {
  (void)m;
#ifdef EMPTY
  return 0;
#else
  return 2;
#endif
}

static const double k0 = 0.5, a = 2.0, b = 1.5;

/* Log density with its derivatives; at least the value is wanted. */
static int density(const bs_model *m, bool propto, bool jacobian, const double *theta, double *value,
                   double *gradient, double *hessian, char **error_msg) {
  const double log_two_pi = 1.8378770664093454836;
  double mu = theta[0], u = theta[1], s = exp(2 * u), squares = 0, sum = 0;
  enter();
  if (mu > FAILS) {
    say(error_msg,
        "log_density() failed with exception: Exception: normal_lpdf: Location parameter is too "
        "large (in 'normal.stan', line 9, column 2)\n");
    return leave(-1);
  }
#ifdef NO_JACOBIAN
  jacobian = false;
#endif
#ifdef PROPTO
  propto = true;
#endif
  for (int i = 0; i < m->n; ++i) {
    sum += m->y[i] - mu;
    squares += (m->y[i] - mu) * (m->y[i] - mu);
  }
  sum -= k0 * mu;
  squares += k0 * mu * mu;
  *value = -(m->n + 1) * u - squares / (2 * s) - 2 * (a + 1) * u - b / s + u;
  if (!propto)
    *value += -(m->n + 1) * log_two_pi / 2 + log(k0) / 2 + a * log(b) - lgamma(a) + log(2.0);
  if (jacobian) *value += u;
  if (gradient) {
    gradient[0] = sum / s;
    gradient[1] = -(m->n + 1) + squares / s - 2 * (a + 1) + 2 * b / s + 1 + jacobian;
#ifdef WRONG_GRADIENT
    gradient[1] *= 1.01;
#endif
  }
  if (hessian) {
    hessian[0] = -(m->n + k0) / s;
    hessian[1] = -2 * sum / s;
    hessian[2] = -2 * squares / s - 4 * b / s;
  }
  return leave(0);
}

#ifdef LACKS
#define bs_log_density bs_log_density_of_another_name
#endif
int bs_log_density(const bs_model *m, bool propto, bool jacobian, const double *theta, double *value,
                   char **error_msg) {
  return density(m, propto, jacobian, theta, value, NULL, NULL, error_msg);
}

int bs_log_density_gradient(const bs_model *m, bool propto, bool jacobian, const double *theta,
                            double *value, double *gradient, char **error_msg) {
  return density(m, propto, jacobian, theta, value, gradient, NULL, error_msg);
}

#ifndef NO_HVP
int bs_log_density_hessian_vector_product(const bs_model *m, bool propto, bool jacobian,
                                          const double *theta, const double *v, double *value,
                                          double *hvp, char **error_msg) {
  double h[3];
  int code = density(m, propto, jacobian, theta, value, NULL, h, error_msg);
  if (code) return code;
  hvp[0] = h[0] * v[0] + h[1] * v[1];
  hvp[1] = h[1] * v[0] + h[2] * v[1];
  return 0;
}
#endif

bs_rng *bs_rng_construct(unsigned int seed, char **error_msg) {
  (void)error_msg;
  bs_rng *rng = malloc(sizeof *rng);
  rng->state = seed;
  ++test_rngs;
  return rng;
}

void bs_rng_destruct(bs_rng *rng) {
  --test_rngs;
  free(rng);
}

/* SplitMix64 of Steele, Lea & Flood (2014), as a number in (0, 1). */
static double uniform(bs_rng *rng) {
  uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

int bs_param_constrain(const bs_model *m, bool tp, bool gq, const double *theta_unc, double *theta,
                       bs_rng *rng, char **error_msg) {
  double mu = theta_unc[0], sigma = exp(theta_unc[1]);
  enter();
  if (gq && !rng) {
    say(error_msg, "param_constrain() failed with exception: include_gq=true but rng=nullptr\n");
    return leave(-1);
  }
  *theta++ = mu;
  *theta++ = sigma;
  if (tp) {
    *theta++ = mu / sigma;
    *theta++ = sigma * sigma;
    *theta++ = m->seed;
  }
  if (gq) {
    if (mu > GQ_FAILS) {
      say(error_msg,
          "param_constrain() failed with exception: Exception: normal_rng: Location parameter is too "
          "large (in 'normal.stan', line 14, column 2)\n");
      return leave(-1);
    }
    double radius = sqrt(-2 * log(uniform(rng)));
    *theta = mu + sigma * radius * cos(6.283185307179586477 * uniform(rng));
  }
  return leave(0);
}
#endif
