# What R's survey package makes of tests on samples drawn at random: Rscript tests_against_r.R <folder>
# Reads people.csv and targets.csv there and writes expected.json.
suppressPackageStartupMessages(library(survey))
folder <- commandArgs(trailingOnly = TRUE)[1]
people <- read.csv(file.path(folder, "people.csv"), stringsAsFactors = TRUE, na.strings = "")
targets <- read.csv(file.path(folder, "targets.csv"), stringsAsFactors = TRUE)
answers <- character(0)
number <- function(value) ifelse(is.finite(value), sprintf("%.17g", value), "null")
put <- function(label, ...) {
  values <- as.numeric(unlist(list(...)))
  answers[[label]] <<- sprintf("\"%s\": [%s]", label, paste(number(values), collapse = ", "))
}
exact <- glm.control(epsilon = 1e-14, maxit = 200)
of_sex <- targets[targets$margin == "sex", ]
of_age <- targets[targets$margin == "age", ]
margins <- list(
  data.frame(sex = of_sex$level, Freq = of_sex$value), data.frame(age = of_age$level, Freq = of_age$value)
)

ask <- function(label, d, taylor) {
  own <- function(name) paste(label, name)
  kinds <- c("F", "Chisq", if (taylor) c("Wald", "adjWald", "saddlepoint"))
  for (kind in kinds) {
    # R's replicates know no missing values here; left out, they are the domain that they are with us anyway
    test <- suppressWarnings(svychisq(~ cat + age, if (taylor) d else subset(d, !is.na(cat)), statistic = kind))
    # R multiplies Pearson's statistic by the number of all rows, also those without an answer; the p-value is scaled back
    put(own(kind), if (kind %in% c("Chisq", "saddlepoint")) NULL else test$statistic, test$p.value)
  }
  two <- svyttest(z ~ sex, d)
  put(own("two"), two$estimate, two$statistic, two$parameter, two$p.value, two$conf.int)
  one <- svyttest(I(y - 620) ~ 0, d)
  put(own("one"), one$estimate + 620, one$statistic, one$parameter, one$p.value, one$conf.int + 620)
  if (taylor) {
    for (kind in c("wilcoxon", "vanderWaerden", "median")) {
      test <- svyranktest(z ~ sex, d, test = kind)
      put(own(kind), test$estimate, test$statistic, test$parameter, test$p.value)
    }
    several <- svyranktest(z ~ age, d, test = "KruskalWallis")
    put(own("several"), several$parameter, several$p.value)
  }
  fit <- suppressWarnings(svyglm(b ~ x + age, design = d, family = quasibinomial(), control = exact))
  wald <- regTermTest(fit, ~age, method = "Wald")
  put(own("term Wald"), wald$Ftest, wald$p)
  working <- regTermTest(fit, ~age, method = "WorkingWald")
  put(own("term working_wald"), working$chisq, working$lambda, working$p)
  ratio <- regTermTest(fit, ~age, method = "LRT")
  put(own("term LRT"), ratio$chisq, ratio$lambda, ratio$p)
}

d <- svydesign(~psu, strata = ~stratum, weights = ~w, fpc = ~fpc, data = people, nest = TRUE)
ask("plain", d, TRUE)
ask("domain", subset(d, region != "r1"), TRUE)
ask("raked", rake(d, list(~sex, ~age), margins, control = list(maxit = 500, epsilon = 1e-12)), TRUE)
ask("jackknife", as.svrepdesign(d, type = "JKn"), FALSE)
writeLines(paste0("{", paste(answers, collapse = ",\n"), "}"), file.path(folder, "expected.json"))
