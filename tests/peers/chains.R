# Weighting chains of one and more steps in R survey, on a sample: Rscript chains.R <csv>
# Prints a line for each chain: its name, the total of api00, its standard error, the mean and its standard error.
suppressPackageStartupMessages(library(survey))
schools <- read.csv(commandArgs(trailingOnly = TRUE)[1], stringsAsFactors = TRUE, na.strings = "")
d <- svydesign(ids = ~dnum, weights = ~pw, fpc = ~fpc, data = schools)

counts <- list(
  stype = data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018)),
  sch.wide = data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122)),
  comp.imp = data.frame(comp.imp = c("No", "Yes"), Freq = c(1712, 4482))
)
post <- function(d, by) postStratify(d, as.formula(paste0("~", by)), counts[[by]])
both <- function(d) {
  rake(d, list(~stype, ~sch.wide), counts[c("stype", "sch.wide")], control = list(maxit = 2000, epsilon = 1e-13))
}
linear <- function(d, ...) {
  calibrate(d, ~ stype + api99, c(`(Intercept)` = 6194, stypeH = 755, stypeM = 1018, api99 = 3914069),
    epsilon = 1e-13, maxit = 500, ...)
}
trim <- function(d, upper) trimWeights(d, upper = upper, strict = TRUE)

chains <- list(
  post = function(d) post(d, "stype"),
  rake = both,
  "post, post" = function(d) post(post(d, "stype"), "sch.wide"),
  "post, post, post" = function(d) post(post(post(d, "stype"), "sch.wide"), "comp.imp"),
  "rake, linear" = function(d) linear(both(d)),
  "post, rake, linear" = function(d) linear(both(post(d, "comp.imp"))),
  "linear, exponential, post" = function(d) post(linear(linear(d), calfun = "raking"), "stype"),
  "bounded, logit" = function(d) linear(linear(d, bounds = c(0.5, 2)), calfun = "logit", bounds = c(0.5, 2)),
  "rake, trim" = function(d) trim(both(d), 60),
  "rake, trim, rake" = function(d) both(trim(both(d), 60)),
  "post, trim, linear" = function(d) linear(trim(post(d, "stype"), 50)),
  "by cluster, post" = function(d) post(linear(d, aggregate.stage = 1), "sch.wide")
)
for (name in names(chains)) {
  weighted <- chains[[name]](d)
  total <- svytotal(~api00, weighted)
  mean <- svymean(~api00, weighted)
  cat(name, sprintf("%.17g", c(coef(total), SE(total), coef(mean), SE(mean))), sep = "\t")
  cat("\n")
}
