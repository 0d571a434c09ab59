"""Data intake: every file listed, read, measured and compared, before anything is learnt from it. Pipeline only."""
