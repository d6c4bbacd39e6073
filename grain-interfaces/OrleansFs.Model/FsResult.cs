using System.Diagnostics.CodeAnalysis;
using Orleans;

namespace OrleansFs.Model;

/// <summary>The outcome of a call that has no value to give: success or an errno.</summary>
[GenerateSerializer, Immutable, Alias("ofs.FsResult")]
public readonly record struct FsResult([property: Id(0)] Errno Error)
{
    public static FsResult Ok => default;

    public bool IsOk => Error == Errno.None;

    public static implicit operator FsResult(Errno error) => new(error);
}

/// <summary>The outcome of a call: a value, or an errno. Expected outcomes are values; an exception is a bug or a lost connection.</summary>
/// <typeparam name="T">What a successful call gives.</typeparam>
[GenerateSerializer, Immutable, Alias("ofs.FsResult`1")]
public readonly struct FsResult<T>
{
    [Id(0)]
    private readonly T? _value;

    [Id(1)]
    private readonly Errno _error;

    private FsResult(T? value, Errno error)
    {
        _value = value;
        _error = error;
    }

    /// <summary>Why the call failed, or <see cref="Errno.None"/>.</summary>
    public Errno Error => _error;

    public bool IsOk => _error == Errno.None;

    /// <summary>The value of a successful call.</summary>
    /// <exception cref="InvalidOperationException">The call failed: a bug in the caller.</exception>
    public T Value => IsOk ? _value! : throw new InvalidOperationException($"the result is {_error}, not a value");

    public static implicit operator FsResult<T>(T value) => new(value, Errno.None);

    public static implicit operator FsResult<T>(Errno error) =>
        new(default, error == Errno.None ? throw new ArgumentException("an error is not None", nameof(error)) : error);

    public bool TryGet([MaybeNullWhen(false)] out T value, out Errno error)
    {
        value = _value;
        error = _error;
        return IsOk;
    }

    public override string ToString() => IsOk ? $"{_value}" : _error.ToString();
}
