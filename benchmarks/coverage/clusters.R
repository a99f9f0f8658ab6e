# Intervals of R survey on the cluster samples of run.py: Rscript clusters.R <folder>
suppressMessages(library(survey))
folder <- commandArgs(trailingOnly = TRUE)[1]
samples <- read.csv(file.path(folder, "samples.csv"), stringsAsFactors = TRUE)
samples$fpc <- 757
population <- data.frame(stype = factor(c("E", "H", "M")), Freq = c(4421, 755, 1018))
limits <- lapply(split(samples, samples$sample), function(sample) {
  design <- svydesign(ids = ~dnum, fpc = ~fpc, data = sample)
  df <- degf(design)
  stratified <- postStratify(design, ~stype, population)
  found <- c(confint(svymean(~api00, design), df = df), confint(svytotal(~api00, design), df = df),
             confint(svytotal(~api00, stratified), df = df))
  setNames(as.data.frame(t(found)), c("mean_low", "mean_high", "total_low", "total_high",
                                      "poststratified_low", "poststratified_high"))
})
write.csv(do.call(rbind, limits), file.path(folder, "limits.csv"), row.names = FALSE)
