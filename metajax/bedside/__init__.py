"""One file of labelled patients: which method, how good, and what of the next patient?"""
