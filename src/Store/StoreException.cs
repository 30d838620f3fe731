namespace TransparencyLog.Store;

/// <summary>
/// A call of a store failed, or what is stored cannot be used. It ends the engine that meets it, except where a subclass says otherwise:
/// the engine retries nothing, readers may stay, and a restart decides. The message names the place (a file, a table, an object) and is
/// written for an operator.
/// </summary>
public class StoreException : IOException
{
    /// <summary>A failure in words.</summary>
    public StoreException(string message) : base(message)
    {
    }

    /// <summary>A failure in words, and the exception that caused it.</summary>
    public StoreException(string message, Exception? cause) : base(message, cause)
    {
    }

    /// <summary>
    /// Whether a restart may succeed where this call failed: the disk was full, a connection was lost. False where an operator has to act.
    /// </summary>
    public virtual bool MayPass => false;
}

/// <summary>
/// Another opening holds the store. The message names its holder. Thrown by an opening that comes second, and by every write of an opening
/// that was overtaken by a later one.
/// </summary>
public sealed class StoreInUseException(string message) : StoreException(message);

/// <summary>The log is halted: <see cref="IHeadRegister.HaltAsync"/> recorded evidence against it. Nothing was stored.</summary>
public sealed class StoreHaltedException(string message) : StoreException(message);

/// <summary>
/// Two different contents for one place: the log would contradict itself. The engine halts, and stays halted over restarts.
/// </summary>
/// <param name="message">What was found, for an operator.</param>
/// <param name="evidence">The part that proves it to others; null where nothing does. Whoever catches it verifies the signatures.</param>
public class StoreConflictException(string message, TlogEvidence? evidence = null) : StoreException(message)
{
    /// <summary>The part that proves it to others; null where nothing does. Its signatures are not verified.</summary>
    public TlogEvidence? Evidence { get; } = evidence;
}

/// <summary>
/// The stored bytes are not the bytes that were written. A store never returns such bytes, and never repairs them silently.
/// </summary>
public sealed class DamageException(Damage damage) : StoreException(damage.ToString())
{
    /// <summary>What is damaged, and where.</summary>
    public Damage Damage { get; } = damage;
}
