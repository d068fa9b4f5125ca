//! `tidelog up` as its users run it: processes of their own, killed and started again.

mod stack {
    mod harness;
    mod replay;
    mod up;
}
