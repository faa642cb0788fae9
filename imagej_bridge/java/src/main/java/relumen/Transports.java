package relumen;

/** Which server the commands speak to. */
public final class Transports {
    private static volatile Transport here;

    private Transports() {}

    /** Has all commands speak to a server in this process; null: no more. Python calls it. */
    public static void register(Transport transport) {
        here = transport;
    }

    /** The server in this process where there is one, otherwise the one at the address. */
    static Transport to(String address) throws PlainException {
        Transport registered = here;
        return registered != null ? registered : new HttpTransport(address, Settings.token(address));
    }

    static boolean inProcess() {
        return here != null;
    }
}
