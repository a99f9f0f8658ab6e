# What R's survey package makes of one drawn sample: Rscript against_r.R <folder>
# Reads people.csv and targets.csv there, writes expected.json. Every iteration runs to full convergence.
suppressPackageStartupMessages(library(survey))
folder <- commandArgs(trailingOnly = TRUE)[1]
people <- read.csv(file.path(folder, "people.csv"), stringsAsFactors = TRUE, na.strings = "")
targets <- read.csv(file.path(folder, "targets.csv"), stringsAsFactors = FALSE, na.strings = "")
tight <- glm.control(epsilon = 1e-14, maxit = 200)
answers <- list()

number <- function(value) ifelse(is.finite(value), sprintf("%.17g", value), "null")
vector_json <- function(values) paste0("[", paste(number(as.numeric(unlist(values))), collapse = ","), "]")
put <- function(name, ...) {
  parts <- list(...)
  inner <- paste(sprintf("\"%s\": %s", names(parts), vapply(parts, vector_json, "")), collapse = ", ")
  answers[[name]] <<- sprintf("\"%s\": {%s}", name, inner)
}
est <- function(name, result, ...) put(name, estimate = coef(result), se = SE(result), ...)
limits <- function(result, df) {
  ci <- confint(result, df = df)
  list(low = ci[, 1], high = ci[, 2])
}
with_ci <- function(name, result, df) {
  ci <- limits(result, df)
  est(name, result, low = ci$low, high = ci$high, df = rep(df, length(coef(result))), vcov = vcov(result))
}
count <- function(margin) {
  rows <- targets[targets$margin == margin, ]
  frame <- data.frame(level = rows$level, Freq = rows$value)
  names(frame)[1] <- margin
  frame
}
total <- function(margin) targets$value[targets$margin == margin]

means <- function(name, d) {
  with_ci(paste0(name, " mean"), svymean(~y, d), degf(d))
  answered <- subset(d, !is.na(z))
  with_ci(paste0(name, " mean with gaps"), svymean(~z, answered, na.rm = TRUE), degf(answered))
  est(paste0(name, " means listwise"), svymean(~ y + z, d, na.rm = TRUE), vcov = vcov(svymean(~ y + z, d, na.rm = TRUE)))
  with_ci(paste0(name, " total with gaps"), svytotal(~z, d, na.rm = TRUE), degf(answered))
  est(paste0(name, " counts"), svytotal(~cat, d, na.rm = TRUE))
  est(paste0(name, " ratio"), svyratio(~z, ~x, d, na.rm = TRUE))
  est(paste0(name, " mean by"), svyby(~z, ~group, d, svymean, na.rm = TRUE))
  est(paste0(name, " total by two"), svyby(~y, ~ group + sex, d, svytotal))
  est(paste0(name, " ratio by"), svyby(~y, ~group, denominator = ~x, d, svyratio))
  est(paste0(name, " shares"), svymean(~cat, d, na.rm = TRUE), vcov = vcov(svymean(~cat, d, na.rm = TRUE)))
  est(paste0(name, " shares by"), svyby(~cat, ~group, d, svymean, na.rm = TRUE))
  levels <- sort(unique(na.omit(as.character(people$group))))
  df <- vapply(levels, function(g) degf(subset(d, group %in% g & !is.na(z))), 1)
  put(paste0(name, " df by"), df = df)
  inside <- subset(d, group %in% c("g1", "g2"))
  with_ci(paste0(name, " domain"), svymean(~y, inside), degf(inside))
}
models <- function(name, d) {
  gaussian_fit <- svyglm(z ~ x + sex, d, control = tight)
  with_ci(paste0(name, " gaussian"), gaussian_fit, gaussian_fit$df.residual)
  logit_fit <- svyglm(b ~ x + group, d, family = quasibinomial(), control = tight)
  with_ci(paste0(name, " logit"), logit_fit, logit_fit$df.residual)
  inside <- svyglm(y ~ x, subset(d, group %in% c("g1", "g2")), control = tight)
  with_ci(paste0(name, " gaussian in domain"), inside, inside$df.residual)
}
one_quantile <- function(name, d) {
  inside <- subset(d, !is.na(z))
  q <- svyquantile(~z, inside, c(0.1, 0.25, 0.5, 0.75, 0.9), ci = TRUE)[[1]]
  put(name, estimate = q[, 1], low = q[, 2], high = q[, 3], se = q[, 4])
}
more <- function(name, d) {
  one_quantile(paste0(name, " quantiles"), d)
  one_quantile(paste0(name, " quantiles g2"), subset(d, group %in% "g2"))
  for (level in c("a", "b", "c")) {
    answered <- subset(d, !is.na(cat))
    answered <- update(answered, hit = as.numeric(cat == level))
    ci <- svyciprop(~hit, answered, method = "logit", df = degf(answered))
    put(paste0(name, " logit interval ", level), low = attr(ci, "ci")[1], high = attr(ci, "ci")[2])
  }
  for (part in c("all", "domain")) {
    of <- if (part == "all") d else subset(d, group %in% c("g1", "g2"))
    of <- subset(of, !is.na(cat))
    test <- svychisq(~ sex + cat, of, statistic = "F")
    put(paste0(name, " chisq ", part), test = c(test$statistic, test$parameter, test$p.value))
  }
  put(paste0(name, " deff"), deff = c(
    deff(svymean(~y, d, deff = TRUE)), deff(svymean(~z, subset(d, !is.na(z)), deff = TRUE)),
    deff(svytotal(~y, d, deff = TRUE)), deff(svymean(~y, subset(d, group %in% "g1"), deff = TRUE))
  ))
}
loop <- function(d) rake(d, list(~sex, ~age), list(count("sex"), count("age")), control = list(maxit = 1000, epsilon = 1e-12))
linear <- function(d, fun = "linear") {
  sex <- count("sex")
  calibrate(d, ~ sex + x, c(`(Intercept)` = sum(sex$Freq), sexm = sex$Freq[2], x = total("x")),
    calfun = fun, epsilon = 1e-13, maxit = 500)
}
post <- function(d, margin) postStratify(d, as.formula(paste0("~", margin)), count(margin))
chains <- function(name, d) {
  made <- list(
    post = post(d, "sex"), raked = loop(d), linear = linear(d), exponential = linear(d, "raking"),
    "post post" = post(post(d, "sex"), "age"), "raked linear" = linear(loop(d)),
    "post raked linear" = linear(loop(post(d, "region"))), "linear exponential post" = post(linear(linear(d), "raking"), "age")
  )
  for (chain in names(made)) {
    after <- made[[chain]]
    label <- paste(name, chain)
    put(paste(label, "weights"), estimate = weights(after))
    means(label, after)
    models(label, after)
  }
}

design <- function(...) svydesign(data = people, nest = TRUE, ...)
plain <- list(
  strata = design(ids = ~psu, strata = ~stratum, weights = ~w, fpc = ~fpc),
  replaced = design(ids = ~psu, strata = ~stratum, weights = ~w),
  stages = design(ids = ~ psu + household, strata = ~stratum, weights = ~w, fpc = ~ fpc + fpc2),
  implied = design(ids = ~ psu + household, strata = ~stratum, fpc = ~ fpc + fpc2),
  people = design(ids = ~1, weights = ~w),
  zeros = design(ids = ~psu, strata = ~stratum, weights = ~wz)
)
for (name in names(plain)) {
  means(name, plain[[name]])
  models(name, plain[[name]])
  more(name, plain[[name]])
}
for (name in c("strata", "stages")) chains(name, plain[[name]])
clusters <- design(ids = ~psuid, weights = ~w, fpc = ~all)
jackknife <- list(jkn = as.svrepdesign(plain$strata, type = "JKn"), jk1 = as.svrepdesign(clusters, type = "JK1"))
for (name in names(jackknife)) {
  d <- jackknife[[name]]
  means(name, d)
  models(name, d)
  for (chain in c("post", "raked", "linear")) {
    after <- list(post = function(x) post(x, "sex"), raked = loop, linear = linear)[[chain]](d)
    means(paste(name, chain), after)
    models(paste(name, chain), after)
  }
}
trimmed <- trimWeights(plain$people, upper = 1.2 * median(people$w), strict = TRUE)
put("people trimmed", estimate = weights(trimmed))
writeLines(c("{", paste(unlist(answers), collapse = ",\n"), "}"), file.path(folder, "expected.json"), useBytes = TRUE)
