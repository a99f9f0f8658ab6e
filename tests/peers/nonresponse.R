# What R's survey package makes of nonrespondents, trimmed and standardised weights: Rscript nonresponse.R <folder>
# Reads cases.csv there and writes expected.json.
suppressPackageStartupMessages(library(survey))
folder <- commandArgs(trailingOnly = TRUE)[1]
cases <- read.csv(file.path(folder, "cases.csv"), stringsAsFactors = TRUE)
answers <- list()
number <- function(value) ifelse(is.finite(value), sprintf("%.17g", value), "null")
put <- function(label, ...) {
  parts <- list(...)
  values <- vapply(parts, function(part) paste0("[", paste(number(as.numeric(unlist(part))), collapse = ","), "]"), "")
  answers[[label]] <<- sprintf("\"%s\": {%s}", label, paste(sprintf("\"%s\": %s", names(parts), values), collapse = ", "))
}
ask <- function(label, d) {
  put(
    label,
    weights = weights(d, "sampling"), mean = coef(svymean(~y, d)), mean_se = SE(svymean(~y, d)),
    total_se = SE(svytotal(~y, d)), by = coef(svyby(~y, ~area, d, svymean)), by_se = SE(svyby(~y, ~area, d, svymean))
  )
}
# R takes adjusted weights as given.
declared <- function(w) svydesign(~psu, strata = ~stratum, weights = w, data = cases, nest = TRUE)
plain <- declared(cases$w)

logit <- svyglm(answered ~ x + area, plain, family = quasibinomial(), control = glm.control(epsilon = 1e-14, maxit = 100))
propensity <- as.numeric(fitted(logit))
ask("inverse_propensity", subset(declared(cases$w / propensity), answered == 1))

cells <- interaction(cases$area, cases$sex)
rate <- tapply(cases$w * cases$answered, cells, sum) / tapply(cases$w, cells, sum)
ask("cells", subset(declared(cases$w / as.numeric(rate[cells])), answered == 1))

bounds <- quantile(cases$w, c(0.15, 0.9), names = FALSE)
ask("trimmed_once", trimWeights(plain, lower = bounds[1], upper = bounds[2]))
ask("trimmed", trimWeights(plain, upper = bounds[2], strict = TRUE))
ask("raised", trimWeights(plain, lower = bounds[1], strict = TRUE))

ask("standardised", svystandardize(plain, by = ~sex, over = ~area, population = c(2, 3)))
ask("standardised_whole", svystandardize(plain, by = ~ sex + age, population = c(1, 2, 3, 4)))
cases$half <- ifelse(cases$x > 0, cases$y, NA)
put("without_missing", weights = weights(svystandardize(
  declared(cases$w), by = ~sex, over = ~area, population = c(2, 3), excluding.missing = ~half), "sampling"))

writeLines(paste0("{", paste(unlist(answers), collapse = ",\n"), "}"), file.path(folder, "expected.json"))
