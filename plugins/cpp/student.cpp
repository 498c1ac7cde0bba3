/* A forward process in C++: the Student diffusion, a Pearson diffusion with heavy tails and noise that grows
 * with x, d independent coordinates.
 *
 *   dX = -theta (X - mu) dt + sqrt(c (nu delta^2 + (X - mu)^2)) dW,   c = 2 theta / (nu - 1)
 *
 * With u = x - mu: D = c (nu delta^2 + u^2), div D = 2 c u. The law without flux, f p = (D p)' / 2, is
 * p'/p = (2 f - D') / D = -(nu + 1) u / (nu delta^2 + u^2): Student's law of nu degrees of freedom about mu,
 * of scale delta; it is the reference law. Moments relax as
 *
 *   E[u_t] = u_0 e^{-theta t}
 *   E[u_t^2] = v + (u_0^2 - v) e^{-(2 theta - c) t},   v = nu delta^2 / (nu - 2)   for nu > 2
 *
 * With y = asinh(u / (delta sqrt nu)) it is dY = -(theta + c/2) tanh Y dt + sqrt c dW: a constant noise, and a
 * drift that is not linear, so that there is no transition in closed form, and no slot for one.
 *
 * Source: Forman & Sorensen (2008), Scandinavian Journal of Statistics 35, 438, case 4. Draws of Student's law:
 * Bailey (1994), Mathematics of Computation 62, 779.
 *
 *   c++ -std=c++17 -O2 -fPIC -shared -fvisibility=hidden -I../../include student.cpp -o student.so \
 *     -Wl,--version-script=../exports.map
 *
 * It shows: a process by the C++ header, with noise that depends on x, and only the slots that it has. */
#include <retrograde_plugin.hpp>

#include <cmath>
#include <string>

using namespace retrograde::plugin;

namespace {

constexpr double pi = 3.14159265358979323846264338327950288;

class Student : public Process {
public:
  static constexpr About about = About("student", "Student diffusion: heavy tails, and noise that grows with x")
                                     .needs(RG_NEEDS_TARGET)
                                     .caps(RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_AUTONOMOUS)
                                     .threading(RG_THREAD_CONCURRENT);

  static Parameters parameters() {
    return {
        number("nu", "Degrees of freedom of the reference law, > 1; its variance is finite above 2")
            .min(1.0)
            .max(1e6)
            .defaults_to(5.0),
        number("theta", "Rate of return, > 0, in units of 1/time").min(0.0).defaults_to(0.5),
        number("mu", "Place of the reference law").min(-1e100).max(1e100).defaults_to(0.0),
        number("delta", "Scale of the reference law, > 0").min(0.0).max(1e100).defaults_to(1.0),
        number("t_end", "Time T, > 0, at which the reference law holds").min(0.0).defaults_to(10.0),
    };
  }

  Student(const Params &params, const Parts &parts)
      : dim_(parts.dim()), nu_(params.number("nu")), theta_(positive(params, "theta")), mu_(params.number("mu")),
        delta_(positive(params, "delta")), t_end_(positive(params, "t_end")) {
    if (!(nu_ > 1.0)) throw setting("nu", nu_, "above 1");
    if (dim_ == 0) throw Error(RG_ERR_CONFIG, "it takes its dimension from the target, and there is none");
    c_ = 2.0 * theta_ / (nu_ - 1.0);
    wide_ = nu_ * delta_ * delta_;
    if (!std::isnormal(wide_) || !std::isnormal(c_ * wide_))
      throw setting("delta", delta_, "so that the noise, with nu and theta, is above 0 and finite");
    constant_ = std::lgamma(0.5 * (nu_ + 1.0)) - std::lgamma(0.5 * nu_) - 0.5 * std::log(pi * nu_) -
                std::log(delta_);
  }

  std::size_t dim() const { return dim_; }
  double t_end() const { return t_end_; }

  void drift(Call &, Times, ConstMat x, Mat f) const {
    for (std::size_t k = 0; k < x.flat().size(); k++) f.data()[k] = -theta_ * (x.data()[k] - mu_);
  }

  void apply_g(Call &, Times, ConstMat x, ConstMat z, Mat out) const {
    for (std::size_t k = 0; k < x.flat().size(); k++)
      out.data()[k] = std::sqrt(noise(x.data()[k] - mu_)) * z.data()[k];
  }

  void apply_ggt(Call &, Times, ConstMat x, ConstMat v, Mat out) const {
    for (std::size_t k = 0; k < x.flat().size(); k++) out.data()[k] = noise(x.data()[k] - mu_) * v.data()[k];
  }

  void div_ggt(Call &, Times, ConstMat x, Mat out) const {
    for (std::size_t k = 0; k < x.flat().size(); k++) out.data()[k] = 2.0 * c_ * (x.data()[k] - mu_);
  }

  void drift_jvp(Call &, Times, ConstMat, ConstMat v, Mat out) const {
    for (std::size_t k = 0; k < v.flat().size(); k++) out.data()[k] = -theta_ * v.data()[k];
  }

  /* The Jacobian is diagonal. */
  void drift_vjp(Call &call, Times t, ConstMat x, ConstMat u, Mat out) const { drift_jvp(call, t, x, u, out); }

  void drift_div(Call &, Times, ConstMat x, Vec out) const {
    for (std::size_t i = 0; i < x.rows(); i++) out[i] = -theta_ * static_cast<double>(dim_);
  }

  /* From two uniform numbers: sqrt(nu (U^{-2/nu} - 1)) cos(2 pi V), the polar method without rejection, so that
   * every draw takes equally many. */
  void ref_sample(Call &call, Mat x) const {
    const Mat u = call.scratch(x.rows(), 2 * dim_);
    call.uniform(u);
    for (std::size_t i = 0; i < x.rows(); i++)
      for (std::size_t j = 0; j < dim_; j++) {
        const double radius = std::sqrt(nu_ * std::expm1(-2.0 / nu_ * std::log(u(i, 2 * j))));
        x(i, j) = mu_ + delta_ * radius * std::cos(2.0 * pi * u(i, 2 * j + 1));
      }
  }

  void ref_eval(Call &, ConstMat x, Vec logp, Mat grad) const {
    for (std::size_t i = 0; i < x.rows(); i++) {
      double sum = 0.0;
      for (std::size_t j = 0; j < dim_; j++) {
        const double u = x(i, j) - mu_;
        /* Of the ratio, so that squares of large numbers do no harm. */
        const double ratio = u / (delta_ * std::sqrt(nu_));
        sum += constant_ - 0.5 * (nu_ + 1.0) * std::log1p(ratio * ratio);
        if (grad) grad(i, j) = -(nu_ + 1.0) * u / (wide_ + u * u);
      }
      if (logp) logp[i] = sum;
    }
  }

  void flags(Call &call) const {
    /* The slowest of its relaxations is that of the mean. */
    const double left = std::exp(-theta_ * t_end_);
    if (left < 0.1) return;
    char text[160];
    std::snprintf(text, sizeof text,
                  "the reference law is that of long ago, and at T a share %.2g of the mean of the data is left", left);
    call.flag(RG_SEVERITY_WARNING, "approximate-reference", text, "a larger `t_end` or `theta`");
  }

private:
  static double positive(const Params &params, const char *key) {
    const double value = params.number(key);
    if (!(value > 0.0) || !std::isfinite(value)) throw setting(key, value, "above 0 and finite");
    return value;
  }
  double noise(double u) const { return c_ * (wide_ + u * u); }

  std::size_t dim_;
  double nu_, theta_, mu_, delta_, t_end_;
  double c_ = 0.0;        // of D = c (nu delta^2 + u^2)
  double wide_ = 0.0;     // nu delta^2
  double constant_ = 0.0; // log of the normalising factor of a coordinate
};

} // namespace

RETROGRADE_PLUGIN("pearson", "0.1.0", "MIT OR Apache-2.0", Student)
