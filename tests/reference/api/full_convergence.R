# Numbers of R survey at full convergence of raking, and of chains of several steps, for
# full_convergence.json. Run: Rscript full_convergence.R > full_convergence.json
suppressMessages(library(survey)); data(api)
stype <- data.frame(stype = c("E", "H", "M"), Freq = c(4421, 755, 1018))
sch <- data.frame(sch.wide = c("No", "Yes"), Freq = c(1072, 5122))
awards <- data.frame(awards = c("No", "Yes"), Freq = c(2027, 4167))
tight <- list(epsilon = 1e-12, maxit = 1000)
clus1 <- svydesign(id = ~dnum, weights = ~pw, fpc = ~fpc, data = apiclus1)
nofpc <- svydesign(id = ~dnum, weights = ~pw, data = apiclus1)
strat <- svydesign(id = ~1, strata = ~stype, weights = ~pw, fpc = ~fpc, data = apistrat)
twice <- postStratify(postStratify(strat, ~sch.wide, sch), ~awards, awards)
designs <- list(
  clus1_raked_no_fpc = rake(nofpc, list(~stype, ~sch.wide), list(stype, sch), control = tight),
  clus1_raked = rake(clus1, list(~stype, ~sch.wide), list(stype, sch), control = tight),
  clus1_post_twice = postStratify(postStratify(clus1, ~stype, stype), ~sch.wide, sch),
  strat_raked = rake(strat, list(~sch.wide, ~awards), list(sch, awards), control = tight),
  strat_post_twice = twice,
  strat_post_twice_calibrated = calibrate(twice, ~api99, c(6194, 3914069))
)
one <- function(design) {
  mean <- svymean(~api00, design); total <- svytotal(~enroll, design, na.rm = TRUE); sum <- svytotal(~api00, design)
  row <- function(x) sprintf('{"estimate": %.15g, "se": %.15g}', coef(x), SE(x))
  sprintf('{"mean_api00": %s, "total_enroll": %s, "total_api00": %s}', row(mean), row(total), row(sum))
}
rows <- sapply(names(designs), function(name) sprintf('  "%s": %s', name, one(designs[[name]])))
cat(sprintf('{\n  "computed_with": "R %s, package survey %s",\n%s\n}\n',
            paste(R.version$major, R.version$minor, sep = "."), packageVersion("survey"), paste(rows, collapse = ",\n")))
