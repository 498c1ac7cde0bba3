// Normal data with a conjugate prior, so that the evidence is known in closed form. Constraints are
// limits only: the prior is that of sigma^2, whose Jacobian is written out.
data {
  int<lower=1> N;
  vector[N] y;
}
parameters {
  real mu;
  real<lower=0> sigma;
}
transformed parameters {
  real variance = square(sigma);
}
model {
  variance ~ inv_gamma(2, 1.5);
  target += log(2 * sigma);
  mu ~ normal(0, sigma / sqrt(0.5));
  y ~ normal(mu, sigma);
}
generated quantities {
  real y_new = normal_rng(mu, sigma);
}
