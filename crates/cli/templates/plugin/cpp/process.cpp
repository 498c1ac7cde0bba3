/* my-component: a forward process. Write here what it is, and where it comes from.
 *
 *   dX = -b X / 2 dt + sqrt(b) dW on [0, T],   X_t given X_0 ~ N(a X_0, (1 - a^2) I),   a = exp(-b t / 2)
 *
 * As it stands it is the Ornstein-Uhlenbeck process: replace parameters, drift, noise and reference law by
 * your own. Write the forward direction only: what runs backwards is made from it. */
#include <retrograde_plugin.hpp>

#include <cmath>

using namespace retrograde::plugin;

namespace {

class MyComponent : public Process {
public:
  static constexpr About about = About("my-component", "One sentence for `list`\nAuthor (year), title")
                                     .needs(RG_NEEDS_TARGET)
                                     .caps(RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_G_CONST_X |
                                           RG_CAP_LINEAR | RG_CAP_AUTONOMOUS)
                                     .threading(RG_THREAD_CONCURRENT);

  static Parameters parameters() {
    return {
        number("rate", "Rate b, > 0, in units of 1/time").min(0.0).defaults_to(2.0),
        number("t_end", "Time T, > 0, at which the reference law N(0, I) holds").min(0.0).defaults_to(8.0),
    };
  }

  MyComponent(const Params &params, const Parts &parts)
      : dim_(parts.dim()), rate_(positive(params, "rate")), t_end_(positive(params, "t_end")) {}

  std::size_t dim() const { return dim_; }
  double t_end() const { return t_end_; }

  void drift(Call &, Times, ConstMat x, Mat f) const {
    for (std::size_t k = 0; k < x.flat().size(); k++) f.data()[k] = -0.5 * rate_ * x.data()[k];
  }

  /* G z. */
  void apply_g(Call &, Times, ConstMat, ConstMat z, Mat out) const {
    for (std::size_t k = 0; k < z.flat().size(); k++) out.data()[k] = std::sqrt(rate_) * z.data()[k];
  }

  /* G G' v. */
  void apply_ggt(Call &, Times, ConstMat, ConstMat v, Mat out) const {
    for (std::size_t k = 0; k < v.flat().size(); k++) out.data()[k] = rate_ * v.data()[k];
  }

  /* Draws at T: N(0, I). */
  void ref_sample(Call &call, Mat x) const { call.normal(x); }

  void ref_eval(Call &, ConstMat x, Vec logp, Mat grad) const {
    for (std::size_t i = 0; i < x.rows(); i++) {
      double sum = 0.0;
      for (std::size_t j = 0; j < dim_; j++) {
        sum -= 0.5 * (x(i, j) * x(i, j) + 1.8378770664093453); // ln 2 pi
        if (grad) grad(i, j) = -x(i, j);
      }
      if (logp) logp[i] = sum;
    }
  }

  /* Leave this out, and RG_CAP_LINEAR, where the law of X_t is not Gaussian; write div_ggt and leave out
   * RG_CAP_G_CONST_X where the noise depends on x. */
  void linear(Call &, double t, Vec alpha, Vec sigma2) const {
    alpha[0] = std::exp(-0.5 * rate_ * t);
    sigma2[0] = -std::expm1(-rate_ * t);
  }

private:
  static double positive(const Params &params, const char *key) {
    const double value = params.number(key);
    if (!(value > 0.0) || !std::isfinite(value)) throw setting(key, value, "a number above 0");
    return value;
  }

  std::size_t dim_;
  double rate_, t_end_;
};

} // namespace

RETROGRADE_PLUGIN("my-component", "0.1.0", "MIT OR Apache-2.0", MyComponent)
