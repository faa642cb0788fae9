package relumen;

/** Something that a user can mend, in words for the user. */
final class PlainException extends Exception {
    private static final long serialVersionUID = 1L;

    PlainException(String message) {
        super(message);
    }
}
