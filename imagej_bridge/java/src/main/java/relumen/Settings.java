package relumen;

import ij.Prefs;
import java.util.Map;

/** What is remembered from one use to the next, in ImageJ's preferences, and limits of patience. */
final class Settings {
    static final String DEFAULT_SERVER = "http://127.0.0.1:8765";
    private static final String PREFIX = "relumen.";

    private Settings() {}

    static String get(String key, String otherwise) {
        return Prefs.get(PREFIX + key, otherwise);
    }

    static void set(String key, String value) {
        Prefs.set(PREFIX + key, value);
    }

    /** The server that was asked last; before the first use that of RELUMEN_SERVER, or of this machine. */
    static String server() {
        return get("server", home(System.getenv()));
    }

    /** A server's address without what doesn't matter. */
    static String plain(String address) {
        return address.trim().replaceAll("/+$", "");
    }

    /** What a server is told; never an option of a macro, which people hand on. */
    static String token(String address) {
        return token(address, System.getenv());
    }

    /** A stranger's macro may name any server: a token goes to those alone that the user named for it. */
    static String token(String address, Map<String, String> environment) {
        String asked = plain(address);
        boolean confirmed = asked.equals(get("token_for", ""));
        String token = environment.get("RELUMEN_TOKEN");
        if (token != null) {
            return confirmed || asked.equals(plain(home(environment))) ? token : "";
        }
        return confirmed ? get("token", "") : "";
    }

    static void setToken(String address, String token) {
        set("token_for", plain(address));
        set("token", token);
    }

    /** Notes that the environment's token may go to an address; one that was typed for another one is forgotten. */
    static void confirm(String address) {
        if (!plain(address).equals(get("token_for", ""))) {
            setToken(address, "");
        }
    }

    private static String home(Map<String, String> environment) {
        return environment.getOrDefault("RELUMEN_SERVER", DEFAULT_SERVER);
    }

    /** How long a server that no longer answers is waited for. */
    static long goneMs() {
        return Long.getLong("relumen.gone_ms", 30_000);
    }

    /** How long a server that has too much to do is asked again. */
    static long busyMs() {
        return Long.getLong("relumen.busy_ms", 60_000);
    }
}
