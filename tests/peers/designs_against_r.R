# What R's survey package makes of designs drawn at random: Rscript designs_against_r.R <folder>
# Reads strata.csv, stages.csv, unequal.csv, joint.csv there and writes expected.json.
suppressPackageStartupMessages(library(survey))
folder <- commandArgs(trailingOnly = TRUE)[1]
answers <- list()
read <- function(name) read.csv(file.path(folder, name), stringsAsFactors = TRUE)
number <- function(value) ifelse(is.finite(value), sprintf("%.17g", value), "null")
vector_json <- function(values) paste0("[", paste(number(as.numeric(unlist(values))), collapse = ","), "]")
put <- function(label, ...) {
  parts <- list(...)
  inner <- paste(sprintf("\"%s\": %s", names(parts), vapply(parts, vector_json, "")), collapse = ", ")
  answers[[label]] <<- sprintf("\"%s\": {%s}", label, inner)
}
ask <- function(label, d, by = TRUE) {
  inside <- subset(d, group == "g1")
  put(
    label,
    df = degf(d), df_inside = degf(inside),
    weights = weights(d, "sampling"),
    mean = coef(svymean(~ y + x, d)), mean_vcov = vcov(svymean(~ y + x, d)),
    total_se = SE(svytotal(~ y + x, d)), inside_se = SE(svymean(~y, inside)), ratio_se = SE(svyratio(~y, ~x, d)),
    by_se = if (by) SE(svyby(~y, ~group, d, svymean)) else numeric(0),
    glm_se = if (by) SE(svyglm(y ~ x + group, d)) else numeric(0)
  )
}

people <- read("strata.csv")
for (rule in c("remove", "adjust", "average")) {
  for (domains in c(FALSE, TRUE)) {
    options(survey.lonely.psu = rule, survey.adjust.domain.lonely = domains)
    d <- svydesign(~psu, strata = ~stratum, weights = ~w, data = people, nest = TRUE)
    # 4.1-1 takes the lonely unit of a total about zero where later versions and we take it about the mean
    suppressWarnings(ask(paste0(rule, if (domains) "_domains" else ""), d))
  }
}
options(survey.lonely.psu = "fail", survey.adjust.domain.lonely = FALSE)

stages <- read("stages.csv")
ask("counts", svydesign(~ psu + home, strata = ~stratum, fpc = ~ n_psu + n_home, data = stages, nest = TRUE))
ask("fractions", svydesign(~ psu + home, strata = ~stratum, fpc = ~ f_psu + f_home, data = stages, nest = TRUE))
ask("weighted", svydesign(~ psu + home, strata = ~stratum, fpc = ~ n_psu + n_home, weights = ~w, data = stages, nest = TRUE))
ask("endless", svydesign(~ psu + home, strata = ~stratum, fpc = ~ n_psu + endless, weights = ~w, data = stages, nest = TRUE))
ask("first", svydesign(~ psu, strata = ~stratum, fpc = ~n_psu, weights = ~w, data = stages, nest = TRUE))
# 4.1-1 mixes up the units' own probabilities unless units come in the order of their ids
ask("brewer_stages", svydesign(~ psu + home, strata = ~stratum, fpc = ~ p + f_home, data = stages, nest = TRUE, pps = "brewer"))

units <- read("unequal.csv")
joint <- as.matrix(read.csv(file.path(folder, "joint.csv"), header = FALSE))
ask("brewer", svydesign(~1, strata = ~stratum, fpc = ~p, data = units, pps = "brewer"))
ask("hartley_rao", svydesign(~1, strata = ~stratum, fpc = ~p, data = units, pps = HR()), by = FALSE)
ask("hartley_rao_yg", svydesign(~1, strata = ~stratum, fpc = ~p, data = units, pps = HR(), variance = "YG"), by = FALSE)
ask("joint", svydesign(~1, fpc = ~p, data = units, pps = ppsmat(joint, tolerance = 0)), by = FALSE)
ask("joint_yg", svydesign(~1, fpc = ~p, data = units, pps = ppsmat(joint, tolerance = 0), variance = "YG"), by = FALSE)
writeLines(paste0("{", paste(unlist(answers), collapse = ",\n"), "}"), file.path(folder, "expected.json"))
