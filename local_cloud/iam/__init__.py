"""Who may do what: policies, roles, accounts, the decision and the smallest binding that would change it."""
