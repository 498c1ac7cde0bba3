/* my-component: a density. Write here what it is, and where it comes from.
 *
 *   log p(x) = -|x|^2 / (2 s^2),   grad log p(x) = -x / s^2
 *
 * Replace parameters, `eval` and the known answers in test.c by your own. */
#include <retrograde_plugin.hpp>

#include <cmath>

using namespace retrograde::plugin;

namespace {

class MyComponent : public Target {
public:
  /* Row by row, without random numbers, on any threads at once: leave out what is not so. */
  static constexpr About about = About("my-component", "One sentence for `list`\nAuthor (year), title")
                                     .caps(RG_CAP_ROWWISE | RG_CAP_DETERMINISTIC | RG_CAP_GRADIENT)
                                     .threading(RG_THREAD_CONCURRENT);

  static Parameters parameters() {
    return {
        integer("dim", "Dimension").min(1).max(10000).defaults_to(2),
        number("scale", "Standard deviation s of each coordinate, > 0").min(0.0).defaults_to(1.0),
    };
  }

  /* Checks what the declared ranges cannot, computes what every call needs. */
  explicit MyComponent(const Params &params)
      : dim_(params.size("dim")), precision_(1.0 / std::pow(params.number("scale"), 2.0)) {
    if (!(params.number("scale") > 0.0) || !std::isfinite(precision_))
      throw setting("scale", params.number("scale"), "above 0, its inverse square finite");
  }

  std::size_t dim() const { return dim_; }

  /* An output that is not wanted is false; the others are written whole: -inf where there is no mass, and
   * a gradient of 0 there. */
  void eval(Call &, ConstMat x, Vec logp, Mat grad) const {
    for (std::size_t i = 0; i < x.rows(); i++) {
      double square = 0.0;
      for (const double v : x.row(i)) square += v * v;
      const double value = -0.5 * precision_ * square;
      if (logp) logp[i] = value;
      if (grad)
        for (std::size_t j = 0; j < dim_; j++) grad(i, j) = std::isinf(value) ? 0.0 : -precision_ * x(i, j);
    }
  }

private:
  std::size_t dim_;
  double precision_;
};

} // namespace

RETROGRADE_PLUGIN("my-component", "0.1.0", "MIT OR Apache-2.0", MyComponent)
