package relumen;

/** The user pressed Esc. */
final class CancelledException extends Exception {
    private static final long serialVersionUID = 1L;
}
