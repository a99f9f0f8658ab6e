# What R's survey package makes of one drawn sample by replicates: Rscript replicates_against_r.R <folder> <seed>
# Reads people.csv there; writes the replicate weights that R makes as <label>.csv, and what they give as expected.json.
suppressPackageStartupMessages(library(survey))
given <- commandArgs(trailingOnly = TRUE)
folder <- given[1]
set.seed(as.integer(given[2]))
people <- read.csv(file.path(folder, "people.csv"), stringsAsFactors = TRUE, na.strings = "")
answers <- list()

number <- function(value) ifelse(is.finite(value), sprintf("%.17g", value), "null")
vector_json <- function(values) paste0("[", paste(number(as.numeric(unlist(values))), collapse = ","), "]")
put <- function(label, ...) {
  parts <- list(...)
  inner <- paste(sprintf("\"%s\": %s", names(parts), vapply(parts, vector_json, "")), collapse = ", ")
  answers[[label]] <<- sprintf("\"%s\": {%s}", label, inner)
}
ask <- function(label, d) {
  write.csv(weights(d, "analysis"), file.path(folder, paste0(label, ".csv")), row.names = FALSE)
  inside <- subset(d, group %in% c("g1", "g2"))
  half <- svyquantile(~y, d, c(0.25, 0.5, 0.9))$y
  put(
    label,
    scale = d$scale, rscales = rep_len(d$rscales, ncol(d$repweights)), df = degf(d), df_inside = degf(inside),
    mean = coef(svymean(~ y + x, d)), mean_vcov = vcov(svymean(~ y + x, d)),
    total_se = SE(svytotal(~ y + x, d)), by_se = SE(svyby(~y, ~group, d, svymean)),
    inside_se = SE(svymean(~y, inside)), ratio_se = SE(svyratio(~y, ~x, d)),
    glm_se = SE(svyglm(y ~ x + sex, d)), quantile = half[, 1], low = half[, 2], high = half[, 3]
  )
}

design <- function(...) svydesign(data = people, nest = TRUE, ...)
strata <- design(ids = ~psu, strata = ~stratum, weights = ~w)
finite <- design(ids = ~psu, strata = ~stratum, weights = ~w, fpc = ~fpc)
stages <- design(ids = ~ psu + household, strata = ~stratum, weights = ~w, fpc = ~ fpc + fpc2)
clusters <- design(ids = ~psuid, weights = ~w, fpc = ~all)
made <- list(
  BRR = as.svrepdesign(strata, type = "BRR"),
  Fay = as.svrepdesign(strata, type = "Fay", fay.rho = 0.4),
  JKn = as.svrepdesign(finite, type = "JKn"),
  JK1 = as.svrepdesign(clusters, type = "JK1"),
  canty = as.svrepdesign(strata, type = "bootstrap", replicates = 60),
  half = as.svrepdesign(strata, type = "subbootstrap", replicates = 60),
  preston = as.svrepdesign(stages, type = "mrbbootstrap", replicates = 60)
)
for (label in names(made)) {
  ask(label, made[[label]])
  centred <- made[[label]]
  centred$mse <- TRUE
  ask(paste0(label, "_mse"), centred)
}
many <- weights(as.svrepdesign(stages, type = "mrbbootstrap", replicates = 400), "replication")
write.csv(many, file.path(folder, "factors.csv"), row.names = FALSE)
writeLines(c("{", paste(unlist(answers), collapse = ",\n"), "}"), file.path(folder, "expected.json"), useBytes = TRUE)
