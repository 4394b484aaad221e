"""The functions of the language that look at nothing but their arguments (language.md section 8)."""
