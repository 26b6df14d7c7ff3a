"""`sluice preview --since`: what a deployment would change where another commit is deployed, as four small tables.

`checkout` has the other commit's own program say its plan and its specs, `report` compares and writes.
"""
