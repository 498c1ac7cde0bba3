/* log Z and draws of an energy that this program has: a phi^4 field on a periodic 4 x 4 lattice,
 *
 *   log p = -sum_x [ phi_x (4 phi_x - sum of its 4 neighbours) + m2 phi_x^2 + lambda phi_x^4 ]
 *
 * by tempered sequential Monte Carlo, beside the library's own target of that name.
 *
 *   c++ -std=c++17 -O2 phi4.cpp $(pkg-config --cflags --libs retrograde) -o phi4
 *
 * Exit status: 0 if the two agree within four standard errors, else 1. */
#include <retrograde.hpp>

#include <cmath>
#include <cstdio>

constexpr std::size_t side = 4, sites = side * side;
constexpr double m2 = -4.0, lambda = 8.0;

static double action(retrograde::span<const double> phi, retrograde::span<double> grad) {
  double sum = 0.0;
  for (std::size_t i = 0; i < side; i++)
    for (std::size_t j = 0; j < side; j++) {
      const std::size_t x = i * side + j;
      const double p = phi[x];
      const double neighbours = phi[(i + 1) % side * side + j] + phi[(i + side - 1) % side * side + j] +
                                phi[i * side + (j + 1) % side] + phi[i * side + (j + side - 1) % side];
      sum -= p * (4.0 * p - neighbours) + m2 * p * p + lambda * p * p * p * p;
      if (!grad.empty()) grad[x] = -(8.0 * p - 2.0 * neighbours + 2.0 * m2 * p + 4.0 * lambda * p * p * p);
    }
  return sum;
}

int main() try {
  namespace rg = retrograde;
  rg::context cx;
  const auto own = rg::target::of_points(cx, sites, action, RG_CAP_GRADIENT, RG_THREAD_CONCURRENT);
  const rg::target library(cx, "phi4-lattice", "side = 4\nmass_squared = -4.0\ncoupling = 8.0");

  rg::options options;
  options.draws = 4000;
  const auto run = [&](const rg::target &t, std::uint64_t seed) {
    options.seed = seed;
    return rg::sampler(cx, "smc", "", t).run(options);
  };
  const auto a = run(own, 1), b = run(library, 2);
  const double za = a.scalar("log_z"), zb = b.scalar("log_z");
  const double sa = a.scalar("log_z_se"), sb = b.scalar("log_z_se");
  std::printf("log Z: %.4f +- %.4f here, %.4f +- %.4f in the library\n", za, sa, zb, sb);

  /* The mean of phi^2 per site, whose error is that of the draws. */
  const auto square = [](const rg::matrix &draws) {
    double mean = 0.0, second = 0.0;
    for (std::size_t i = 0; i < draws.size(); i++) {
      double s = 0.0;
      for (const double p : draws[i]) s += p * p / sites;
      mean += s / draws.size(), second += s * s / draws.size();
    }
    return std::make_pair(mean, std::sqrt((second - mean * mean) / draws.size()));
  };
  const auto [ma, ea] = square(a.draws());
  const auto [mb, eb] = square(b.draws());
  std::printf("phi^2: %.4f +- %.4f here, %.4f +- %.4f in the library\n", ma, ea, mb, eb);
  /* Particles share ancestors: their standard error is larger than that of independent draws. */
  return std::abs(za - zb) < 4.0 * std::hypot(sa, sb) && std::abs(ma - mb) < 8.0 * std::hypot(ea, eb) ? 0 : 1;
} catch (const std::exception &e) {
  std::fprintf(stderr, "phi4: %s\n", e.what());
  return 1;
}
