/* Hamiltonian Monte Carlo as a C programmer writes it who has a log density and no library: trajectories of a fixed length,
 * chain after chain, each gradient a call for one point. For benches/capi.rs, linked with mixture.c. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

enum { D = 2 };

void kernel(size_t n, const double *x, double *logp, double *grad);

/* xoshiro256++ (Blackman and Vigna 2021), seeded by SplitMix64. */
typedef struct {
  uint64_t s[4];
  double spare;
  int has_spare;
} rng;

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static void seed_rng(rng *r, uint64_t seed) {
  for (int i = 0; i < 4; i++) {
    uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    r->s[i] = z ^ (z >> 31);
  }
  r->has_spare = 0;
}

static uint64_t bits(rng *r) {
  uint64_t *s = r->s;
  const uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
  s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3];
  s[2] ^= t, s[3] = rotate(s[3], 45);
  return result;
}

/* Uniform in [0, 1). */
static double uniform(rng *r) { return (double)(bits(r) >> 11) * 0x1p-53; }

/* Marsaglia's polar method, two at a time. */
static double normal(rng *r) {
  if (r->has_spare) return r->has_spare = 0, r->spare;
  double u, v, s;
  do {
    u = 2.0 * uniform(r) - 1.0, v = 2.0 * uniform(r) - 1.0, s = u * u + v * v;
  } while (s >= 1.0 || s == 0.0);
  const double f = sqrt(-2.0 * log(s) / s);
  r->spare = v * f, r->has_spare = 1;
  return u * f;
}

/* `chains` chains from N(0, start_sd^2), `moves` moves of `leapfrog` steps each, every state a draw: chains x moves x 2, chain
 * after chain. One gradient at the start of a chain and one a step. Returns the mean acceptance. */
__attribute__((visibility("default"))) double hmc(size_t chains, size_t moves, size_t leapfrog, double step,
                                                   double start_sd, uint64_t seed, double *draws) {
  rng r;
  double accepted = 0.0;
  seed_rng(&r, seed);
  for (size_t c = 0; c < chains; c++) {
    double x[D], g[D], l;
    for (int j = 0; j < D; j++) x[j] = start_sd * normal(&r);
    kernel(1, x, &l, g);
    for (size_t m = 0; m < moves; m++, draws += D) {
      double y[D], gy[D], p[D], ly = 0.0, before = 0.0, after = 0.0;
      for (int j = 0; j < D; j++) {
        p[j] = normal(&r);
        before += 0.5 * p[j] * p[j];
        y[j] = x[j];
        p[j] += 0.5 * step * g[j];
      }
      for (size_t k = 1; k <= leapfrog; k++) {
        for (int j = 0; j < D; j++) y[j] += step * p[j];
        kernel(1, y, k == leapfrog ? &ly : NULL, gy);
        for (int j = 0; j < D; j++) p[j] += (k == leapfrog ? 0.5 : 1.0) * step * gy[j];
      }
      for (int j = 0; j < D; j++) after += 0.5 * p[j] * p[j];
      const double ratio = (ly - after) - (l - before);
      accepted += ratio < 0.0 ? exp(ratio) : 1.0;
      if (ratio >= 0.0 || uniform(&r) < exp(ratio)) {
        l = ly;
        for (int j = 0; j < D; j++) x[j] = y[j], g[j] = gy[j];
      }
      for (int j = 0; j < D; j++) draws[j] = x[j];
    }
  }
  return accepted / (double)(chains * moves);
}
