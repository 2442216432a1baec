"""Detection quality, measured beside static rules and baselines.

    plan           what is measured (scenarios, seeds, files, budgets), in one or more processes
    datasets       labelled logs, simulated or from NDJSON, split in time
    contenders     the contenders, one row each; baselines: a stateless forest and z-scores per
                   user; analyst: our model with verdicts on alerts of the training part
    curves         false positives at equal recall, recall at a rate, average precision
    bootstrap      confidence intervals over entities
    measure        one data set: the tables of all figures
    first_reasons  which features each attack family changes
    figures        several data sets pooled; quality.json
    goals          goals, met or not, and the floors of CI
    page, picture, front_picture (of the README), command

Rules and thresholds are fixed on the training part without labels; only the analyst sees as many
labels of it as the row says. Logs without a label are scored and not counted. Nothing here tunes
the detector.
"""
