# R survey's side of the survey benchmark: Rscript peer_r.R <folder> <task> <repeats>; output as measure.py's.
suppressMessages(library(survey))
options(survey.lonely.psu = "fail")
args <- commandArgs(trailingOnly = TRUE)
folder <- args[1]; task <- args[2]; repeats <- as.integer(args[3])
outcomes <- paste0("y", 0:9)
read <- function(name) {
  path <- file.path(folder, paste0(name, ".f8"))
  readBin(path, "double", n = file.size(path) / 8, size = 8, endian = "little")
}
categories <- c("stratum", "psu", "district", "group", "sex", "age", "edu", "region")
columns <- c(categories, "weight", outcomes, "x1", "x2", "x3", "x4", "chosen")
frame <- as.data.frame(sapply(columns, read, simplify = FALSE))
for (name in categories) frame[[name]] <- as.integer(frame[[name]])
for (name in c("district", "group", "sex", "age", "edu", "region")) frame[[name]] <- factor(frame[[name]])
targets <- read.csv(file.path(folder, "targets.csv"))
totals <- read.csv(file.path(folder, "totals.csv"))
cpu <- function() sum(proc.time()[c(1, 2, 4, 5)])
start <- cpu()
if (task %in% c("e", "f")) {
  factors <- matrix(readBin(file.path(folder, "factors.f8"), "double", n = 1000 * 500, size = 8), nrow = 1000)
  design <- svrepdesign(data = frame, weights = ~weight, repweights = factors[frame$psu + 1, ], type = "bootstrap",
                        combined.weights = FALSE, scale = 1 / 499, rscales = rep(1, 500), mse = FALSE)
} else {
  design <- svydesign(ids = ~psu, strata = ~stratum, weights = ~weight, data = frame)
}
prepared <- cpu() - start
margin <- function(name) {
  part <- targets[targets$margin == name, ]
  setNames(data.frame(factor(part$level), part$value), c(name, "Freq"))
}
counts <- function(name) targets$value[targets$margin == name]
means <- function(design, by) {
  made <- svyby(make.formula(outcomes), make.formula(by), design, svymean)
  c(as.vector(as.matrix(made[, outcomes])), as.vector(as.matrix(SE(made))))
}
raked <- function() {
  names <- c("sex", "age", "edu", "region")
  rake(design, lapply(names, make.formula), lapply(names, margin), control = list(maxit = 1000, epsilon = 1e-9))
}
greg <- function() {
  wanted <- c(sum(counts("district")), counts("district")[-1], counts("age")[-1], totals$value[totals$name == "x1"])
  weights(calibrate(design, ~ district + age + x1, population = setNames(wanted, colnames(
    model.matrix(~ district + age + x1, frame[1:1000, ]))), calfun = "linear"))
}
logistic <- function() {
  fit <- svyglm(chosen ~ sex + age + edu + x1 + x2 + x3 + x4, design, family = quasibinomial(),
                control = glm.control(epsilon = 1e-10))
  c(coef(fit), SE(fit))
}
tasks <- list(
  a = function() means(design, "district"), a_group = function() means(design, "group"),
  b = function() weights(raked()), c = greg, d = logistic,
  e = function() means(design, "district"), f = function() means(raked(), "district")
)
invisible(gc(reset = TRUE))
before <- sum(gc()[, 2])
times <- numeric(0)
for (i in seq_len(repeats)) {
  start <- cpu()
  numbers <- tasks[[task]]()
  times <- c(times, cpu() - start)
}
peak <- sum(gc()[, 6]) - before
writeBin(as.numeric(numbers), file.path(folder, paste0("peer_r-", task, ".f8")), size = 8, endian = "little")
cat(sprintf('{"cpu": %.5f, "prepare": %.5f, "peak_mb": %.1f}\n', min(times), prepared, peak))
