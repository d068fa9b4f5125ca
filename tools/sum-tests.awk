# Passes the output of `cargo test` on and ends it with one line for all test programs: "N passed, N failed".
# Fails if a test failed, or if none ran.
{ print; fflush() }
/^test result: / { passed += $4; failed += $6 }
END {
    printf "%d passed, %d failed\n", passed, failed
    exit (failed > 0 || passed == 0)
}
