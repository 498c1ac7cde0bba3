/* Static HMC of Stan (its C++ library, unit metric) over the mixture of ../benches/c/mixture.c, against HMC written in C
 * (../benches/c/hmc.c), with the same trajectories: CPU time of a gradient, by turns. `benches/capi.rs` has the same
 * work of the library against the same C, so that the ratios compare.
 *
 * Stan's headers come with httpstan (4.13.0 here; a wheel is a zip file), in a folder HTTPSTAN:
 *
 *   pip download --no-deps httpstan && unzip -q httpstan-*.whl -d HTTPSTAN
 *   cc -std=c11 -O2 -I ../../include -c ../benches/c/mixture.c ../benches/c/hmc.c
 *   c++ -std=c++17 -O3 -DNDEBUG -D_REENTRANT -DTBB_INTERFACE_NEW -isystem HTTPSTAN/httpstan/include -isystem \
 *     HTTPSTAN/httpstan/include/tbb stan.cpp mixture.o hmc.o HTTPSTAN/httpstan/lib/libtbb.so.2 -o stan
 *   LD_LIBRARY_PATH=HTTPSTAN/httpstan/lib ./stan
 */
#include <stan/math/rev.hpp>
#include <stan/callbacks/logger.hpp>
#include <stan/mcmc/hmc/static/unit_e_static_hmc.hpp>
#include <stan/services/util/create_rng.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <vector>

extern "C" {
void kernel(std::size_t n, const double *x, double *logp, double *grad);
double hmc(std::size_t chains, std::size_t moves, std::size_t leapfrog, double step, double start_sd,
           std::uint64_t seed, double *draws);
const void *retrograde_plugin_v1(const void *host);
}

/* What Stan asks of a model, with the gradient that the kernel gives. */
struct mixture {
  static constexpr std::size_t num_params_r() { return 2; }

  template <bool propto, bool jacobian, typename T>
  T log_prob(Eigen::Matrix<T, Eigen::Dynamic, 1> &x, std::ostream *) const {
    const double at[2] = {x[0].val(), x[1].val()};
    double logp, grad[2];
    kernel(1, at, &logp, grad);
    auto *vari = new stan::math::precomp_vv_vari(logp, x[0].vi_, x[1].vi_, grad[0], grad[1]);
    return stan::math::var(vari);
  }
};

constexpr std::size_t chains = 10000, leapfrog = 8;
constexpr double step = 0.2, start_sd = 20.0;

static double by_stan(std::size_t moves, double *draws) {
  static const mixture model;
  stan::rng_t rng = stan::services::util::create_rng(7, 1);
  stan::mcmc::unit_e_static_hmc<mixture, stan::rng_t> sampler(model, rng);
  sampler.set_nominal_stepsize_and_L(step, leapfrog);
  stan::callbacks::logger logger;
  boost::random::normal_distribution<double> normal(0.0, start_sd);
  double accepted = 0.0;
  for (std::size_t c = 0; c < chains; c++) {
    Eigen::VectorXd x(2);
    x << normal(rng), normal(rng);
    stan::mcmc::sample state(x, 0.0, 0.0);
    for (std::size_t m = 0; m < moves; m++, draws += 2) {
      state = sampler.transition(state, logger);
      accepted += state.accept_stat();
      draws[0] = state.cont_params()[0], draws[1] = state.cont_params()[1];
    }
  }
  return accepted / static_cast<double>(chains * moves);
}

static double by_c(std::size_t moves, double *draws) { return hmc(chains, moves, leapfrog, step, start_sd, 7, draws); }

static double timed(double (*f)(std::size_t, double *), std::size_t moves, double *draws) {
  const std::clock_t started = std::clock();
  f(moves, draws);
  return static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
}

int main() {
  retrograde_plugin_v1(nullptr); /* Places the modes. */
  std::vector<double> a(2 * chains * 60), b(a.size());
  const double acceptance[2] = {by_c(60, a.data()), by_stan(60, b.data())};
  for (std::size_t j = 0; j < 2; j++) {
    double mean[2] = {0.0, 0.0}, square[2] = {0.0, 0.0};
    for (std::size_t c = 0; c < chains; c++) {
      const double last[2] = {a[120 * c + 118 + j], b[120 * c + 118 + j]};
      for (int k = 0; k < 2; k++) mean[k] += last[k] / chains, square[k] += last[k] * last[k] / chains;
    }
    const double se = std::sqrt((square[0] - mean[0] * mean[0] + square[1] - mean[1] * mean[1]) / chains);
    if (!(std::abs(mean[0] - mean[1]) < 4.0 * se)) {
      std::fprintf(stderr, "means differ: %g, %g, standard error %g\n", mean[0], mean[1], se);
      return 1;
    }
  }
  const std::size_t moves = 4;
  std::vector<double> ratios, first;
  for (int turn = 0; turn < 41; turn++) {
    const double c = timed(by_c, moves, a.data()), s = timed(by_stan, moves, b.data());
    /* Stan begins each move with a gradient of its own. */
    first.push_back(1e9 * c / (chains * (moves * leapfrog + 1)));
    ratios.push_back(s / (moves * (leapfrog + 1)) / (c / (moves * leapfrog + 1)));
  }
  std::sort(first.begin(), first.end()), std::sort(ratios.begin(), ratios.end());
  std::printf("acceptance %.4f in C, %.4f of Stan\n%.1f ns a gradient in C; Stan x %.3f a gradient, x %.3f a move\n",
              acceptance[0], acceptance[1], first[20], ratios[20],
              ratios[20] * (moves * (leapfrog + 1)) / (moves * leapfrog + 1));
}
