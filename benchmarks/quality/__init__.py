"""The proof of detection quality: who finds how much at how many false alarms, counted honestly.

    plan        what is measured: scenarios, seeds, files, budgets; and doing it on some processes
    datasets    labelled logs, simulated or from NDJSON, split in time
    contenders  who is compared, one row each; baselines: a stateless forest, per-user z-scores;
                analyst: our model with verdicts on alerts of the training part
    measures    false positives at equal recall, recall at a rate, average precision; ties are fair
    bootstrap   intervals: entities drawn again and again
    measured    one data set, everybody's figures; finds: attack families, and whom alarms hit
    explained   whether our first reason names what the attack changed
    promises    whether our threshold gives the alerts that it promised
    pooled      several seeds as one
    goals       what was promised, met or not; and floors for CI
    tables, report, picture, command: Markdown, JSON, PNG, the command line

Rules and thresholds are fixed on the training part, of which nobody sees labels but the analyst,
who sees as many as the row says. Labels come from
actors or from the data's authors. Logs without a label are sent to everybody and counted nowhere.
May not live here: anything that tunes the detector.
"""
