"""Independent routes to the answers of graded exercises: they count, they do not apply formulas."""
