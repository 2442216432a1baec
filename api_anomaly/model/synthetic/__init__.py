"""Synthetic attacks on the team's own endpoints: training data of the abuse classifier.

An Isolation Forest finds what is rare, not what is hostile: a search engine is rarer than a patient
password guesser. So the training generates attacks with the team's own endpoints, user agents,
sizes and users, at random paces and lengths, and computes their features with the same extraction.
They are the positive class of the abuse classifier; no human label and no signature of an attack
tool is used. The idea is outlier exposure (Hendrycks et al., ICLR 2019), with outliers made from
the data at hand.
"""
