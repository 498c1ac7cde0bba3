/* my-component: a score. Write here what it is, and where it comes from.
 *
 *   grad log p_t(x) = -x / (a^2 s^2 + C),   X_t = a X_0 + sqrt(C) z,   X_0 ~ N(0, s^2 I)
 *
 * As it stands it is the exact score of normal data under a process whose law of X_t given X_0 is linear
 * with numbers a(t) and C(t): replace parameters, `eval` and the known answers in test.c by your own, for
 * example by a network that was trained elsewhere. */
#include <retrograde_plugin.hpp>

#include <cmath>

using namespace retrograde::plugin;

namespace {

class MyComponent : public Score {
public:
  static constexpr About about = About("my-component", "One sentence for `list`\nAuthor (year), title")
                                     .needs(RG_NEEDS_TARGET | RG_NEEDS_PROCESS)
                                     .caps(RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC)
                                     .threading(RG_THREAD_CONCURRENT);

  static Parameters parameters() {
    return {number("data_sd", "Standard deviation s of the data, > 0").min(0.0).defaults_to(1.0)};
  }

  /* A component may keep its parts. */
  MyComponent(const Params &params, const Parts &parts)
      : dim_(parts.dim()), sd_(params.number("data_sd")), process_(parts.process()) {
    if (!(sd_ > 0.0) || !std::isfinite(sd_ * sd_)) throw setting("data_sd", sd_, "a number above 0");
    if (!process_.can(RG_CAP_LINEAR) || process_.can(RG_CAP_WARPED))
      throw Error(RG_ERR_UNSUPPORTED,
                  "it needs a process with a linear law and one number for a and C: choose another");
  }

  std::size_t dim() const { return dim_; }

  void eval(Call &call, Times t, ConstMat x, Mat s) const {
    double variance = 1.0;
    for (std::size_t i = 0; i < x.rows(); i++) {
      if (i == 0 || !t.shared()) {
        double alpha = 0.0, sigma2 = 0.0;
        process_.invoke(&rg_process_vtable::linear, call, dim_, t[i], &alpha, &sigma2);
        variance = alpha * alpha * sd_ * sd_ + sigma2;
      }
      for (std::size_t j = 0; j < dim_; j++) s(i, j) = -x(i, j) / variance;
    }
  }

private:
  std::size_t dim_;
  double sd_;
  ProcessRef process_;
};

} // namespace

RETROGRADE_PLUGIN("my-component", "0.1.0", "MIT OR Apache-2.0", MyComponent)
