# The reference calls, asked of R once more on other data: Rscript every_call.R <folder>
# Reads the samples, designs.txt (a name and an R expression a line) and calls.txt (an id and a call a line) there,
# writes answers.json: by id, what R gave, or the error with which it stopped.
suppressPackageStartupMessages({
  library(survey)
  library(mitools)
})
folder <- commandArgs(trailingOnly = TRUE)[1]
sample_of <- function(name) {
  read.csv(file.path(folder, paste0(name, ".csv")), stringsAsFactors = TRUE, na.strings = "", check.names = FALSE)
}
GC <- glm.control(epsilon = 1e-14, maxit = 200)
lonely <- function(rule, call, domain = FALSE) {
  before <- options(survey.lonely.psu = rule, survey.adjust.domain.lonely = domain)
  on.exit(options(before))
  force(call)
}

# --- JSON ---------------------------------------------------------------------------------------------------------

text <- function(x) paste0("\"", gsub("[\n\t]", " ", gsub("([\"\\\\])", "\\\\\\1", x)), "\"")
number <- function(x) ifelse(is.na(x), "null", ifelse(is.infinite(x), text("Inf"), sprintf("%.17g", x)))
json <- function(x) {
  if (is.list(x)) return(paste0("{", paste0(text(names(x)), ": ", vapply(x, json, ""), collapse = ", "), "}"))
  if (is.factor(x) || is.character(x) || is.logical(x)) values <- text(as.character(x))
  else if (is.matrix(x)) values <- apply(x, 1, function(row) paste0("[", paste(number(row), collapse = ", "), "]"))
  else values <- number(as.numeric(x))
  paste0("[", paste(values, collapse = ", "), "]")
}

# --- what an answer holds, by its kind --------------------------------------------------------------------------

by_name <- function(values, names = base::names(values)) setNames(as.list(as.numeric(values)), names)
estimates <- function(r) {
  list(estimate = by_name(coef(r), names(coef(r))), se = by_name(as.numeric(SE(r)), names(coef(r))), vcov = vcov(r))
}
single <- function(r, name) setNames(list(as.numeric(coef(r)), as.numeric(unlist(SE(r)))), c(name, "se"))
regression <- function(r) {
  table <- summary(r)$coefficients
  list(
    coef = by_name(coef(r)), se = by_name(SE(r)), vcov = vcov(r), df_residual = r$df.residual,
    t = by_name(table[, 3], rownames(table)), p_value = by_name(table[, 4], rownames(table))
  )
}
quantiles <- function(r) {
  lapply(unclass(r), function(one) {
    if (nrow(one) == 1 && ncol(one) > 4) return(setNames(as.list(one[1, 1:4]), c("quantile", "lower", "upper", "se")))
    list(quantile = one[, 1], lower = one[, 2], upper = one[, 3], se = one[, 4])
  })
}
groups <- function(r) {
  table <- as.data.frame(unclass(r), optional = TRUE)
  found <- list(table = lapply(as.list(table), function(x) if (is.numeric(x)) x else as.character(x)))
  if (!is.null(attr(r, "var"))) found$vcov <- vcov(r)
  found
}
test_result <- function(r) {
  found <- list(p_value = as.numeric(r$p.value), statistic = as.list(r$statistic))
  if (!is.null(r$parameter)) found$parameter <- as.list(r$parameter)
  if (!is.null(r$estimate)) found$estimate <- as.list(r$estimate)
  if (!is.null(r$conf.int)) found$conf_int <- as.numeric(r$conf.int)
  found
}
terms_tested <- function(r) {
  parts <- list(p_value = as.numeric(r$p), df = r$df)
  for (name in c("Ftest", "chisq", "lambda", "ddf")) {
    value <- r[[name]]
    if (!is.null(value) && all(is.finite(value))) parts[[name]] <- as.numeric(value)
  }
  parts
}
held <- function(r) {
  is_a <- function(...) inherits(r, c(...))
  if (is_a("svyratio")) return(single(r, "ratio"))
  if (identical(attr(r, "statistic"), "variance")) {
    if (length(coef(r)) == 1) return(single(r, "variance"))
    return(list(matrix = matrix(as.numeric(r), nrow(r)), se = as.numeric(SE(r))))
  }
  if (is_a("svyciprop")) return(list(estimate = as.numeric(r), se = as.numeric(SE(r)), ci95 = as.numeric(attr(r, "ci"))))
  if (is_a("newsvyquantile")) return(quantiles(r))
  if (is_a("svyby")) return(groups(r))
  if (is_a("svystat", "svrepstat")) {
    found <- if (identical(names(coef(r)), "contrast")) single(r, "estimate") else estimates(r)
    if (!is.null(attr(r, "deff"))) found$deff <- by_name(deff(r), names(coef(r)))
    return(found)
  }
  if (is_a("svytable")) return(list(values = matrix(as.numeric(r), nrow(r))))
  if (is_a("htest")) return(test_result(r))
  if (is_a("svyglm")) return(regression(r))
  if (is_a("svyolr")) return(list(coef = by_name(coef(r)), se = by_name(SE(r))))
  if (is_a("regTermTest", "regTermTestWW", "regTermTestLRT")) return(terms_tested(r))
  if (is_a("MIresult")) {
    return(list(
      coef = by_name(coef(r)), se = by_name(SE(r)), df = by_name(r$df, names(coef(r))),
      missing_info = by_name(r$missinfo, names(coef(r)))
    ))
  }
  if (is_a("survey.design", "svyrep.design", "survey.design2")) return(list(weights = as.numeric(weights(r, "sampling"))))
  if (is.data.frame(r)) return(list(link = as.numeric(r$link), se = as.numeric(r$SE)))
  if (is.matrix(r)) return(list(values = matrix(as.numeric(r), nrow(r))))
  if (!is.null(names(r))) return(as.list(r))
  stop("no reading of a ", class(r)[1])
}

# --- the calls --------------------------------------------------------------------------------------------------

for (line in readLines(file.path(folder, "samples.txt"))) {
  parts <- strsplit(line, "\t")[[1]]
  assign(parts[1], sample_of(parts[2]))
}
for (line in readLines(file.path(folder, "designs.txt"))) {
  parts <- strsplit(line, "\t")[[1]]
  assign(parts[1], eval(parse(text = parts[2])))
}
lines <- strsplit(readLines(file.path(folder, "calls.txt")), "\t")
answers <- vapply(lines, function(parts) {
  found <- suppressWarnings(tryCatch(json(held(eval(parse(text = parts[2]), globalenv()))), error = function(reason) {
    json(list(error = conditionMessage(reason)))
  }))
  paste0(text(parts[1]), ": ", found)
}, "")
writeLines(paste0("{", paste(answers, collapse = ",\n"), "}"), file.path(folder, "answers.json"), useBytes = TRUE)
